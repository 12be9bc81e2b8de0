#!/bin/sh
# Two weeks of made-up demand for the demo's workloads, up to now, as Prescale reads it from files (`metrics.files`): `history.sh FOLDER`.
# Its clock is shifted, so that now is always eight in the morning, with the rush of the day to come.
set -eu

now=$(date +%s)

# workload NAMESPACE NAME CONTAINER REQUESTS_AT_NOON CPU_A_REQUEST IDLE_CPU IDLE_MEMORY REQUESTS_A_POD SEED
workload() {
  folder=$1/$2/$3
  mkdir -p "$folder"
  awk -v now="$now" -v folder="$folder" -v container="$4" -v noon="$5" -v cost="$6" -v idle="$7" -v memory="$8" -v share="$9" -v seed="${10}" '
    BEGIN {
      srand(seed)
      tau = 8 * atan2(1, 1)
      split("requests cpu cpu." container " memory." container, signals, " ")
      for (i in signals) { print "timestamp,value" > (folder "/" signals[i] ".csv") }
      until = now - now % 60
      for (at = until - 14 * 86400; at < until; at += 60) {
        hour = 8 + (at - until) / 3600
        day = 0.56 - 0.44 * cos(tau * (hour - 2.5) / 24) - 0.16 * cos(tau * (hour - 1) / 12)
        level = 0.98 * level + 0.04 * (rand() - 0.5)
        requests = noon * (day > 0.04 ? day : 0.04) * exp(level) * (1 + 0.1 * (rand() - 0.5))
        pods = int(requests / share) + 1
        if (pods < 2 && share < 1000) { pods = 2 }
        pod = (idle + requests / pods * cost) * (1 + 0.1 * rand())
        printf "%d,%.4f\n", at, requests > (folder "/requests.csv")
        printf "%d,%.4f\n", at, pod * pods > (folder "/cpu.csv")
        printf "%d,%.4f\n", at, pod > (folder "/cpu." container ".csv")
        printf "%d,%.0f\n", at, memory * (1 + 0.1 * day + 0.02 * rand()) > (folder "/memory." container ".csv")
      }
    }'
}

workload "$1" shop-prod frontend nginx 320 0.0022 0.004 70000000 45 1
workload "$1" shop-prod backend api 210 0.009 0.03 290000000 36 2
workload "$1" shop-prod redis redis 900 0.00012 0.01 310000000 1000000 3
workload "$1" shop-staging frontend nginx 12 0.0022 0.004 70000000 45 4
