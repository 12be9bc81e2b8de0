//! Recorded demand for the backtest: a CSV file, or a folder of them with an `index.csv`.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Deserialize;

use super::files::table;

/// One recorded series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// `dataset/series` in an index, else the file's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The independent entity that it belongs to: one series of each says enough.
    pub group: String,
}

/// A row of `index.csv`; other columns are let be.
#[derive(Debug, Deserialize)]
struct Row {
    dataset: String,
    series: String,
    path: PathBuf,
    kind: String,
    step_seconds: i64,
    days: f64,
    group: String,
}

impl Row {
    /// The coarsest step and the shortest length on which decisions every ten minutes can be judged.
    const STEP: i64 = 600;
    const DAYS: f64 = 10.0;

    fn drives_replicas(&self) -> bool {
        ["requests", "cpu"].contains(&self.kind.as_str()) && self.step_seconds <= Self::STEP && self.days >= Self::DAYS
    }
}

/// The series at a path: the file itself; of a folder with an `index.csv` those of requests or CPU with a step of at most ten minutes and
/// at least ten days; of another folder all `*.csv` and `*.csv.gz` in it.
pub fn find(path: &Path) -> anyhow::Result<Vec<Recorded>> {
    let index = path.join("index.csv");
    let found = if path.is_file() {
        vec![recorded(path)]
    } else if index.is_file() {
        let mut reader = csv::Reader::from_path(&index).with_context(|| format!("{} cannot be read", index.display()))?;
        let rows: Vec<Row> = reader.deserialize().collect::<Result<_, _>>().with_context(|| format!("{} is no index", index.display()))?;
        let named = |row: Row| Recorded { name: format!("{}/{}", row.dataset, row.series), path: path.join(row.path), group: row.group };
        rows.into_iter().filter(Row::drives_replicas).map(named).collect()
    } else {
        let entries = std::fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let paths: BTreeSet<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        paths.iter().filter(|path| is_table(path)).map(|path| recorded(path)).collect()
    };
    if found.is_empty() {
        return Err(anyhow!("no series to try in {}: expected `*.csv` or `*.csv.gz` with `timestamp,value`", path.display()));
    }
    Ok(found)
}

fn is_table(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".csv") || name.ends_with(".csv.gz")
}

fn recorded(path: &Path) -> Recorded {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".csv").to_owned();
    Recorded { group: name.clone(), name, path: path.to_owned() }
}

/// The samples `(epoch seconds, value)` of a CSV file, which may be compressed with gzip, in its order.
pub fn samples(path: &Path) -> anyhow::Result<Vec<(i64, f64)>> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut text = String::new();
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text)
    } else {
        bytes.as_slice().read_to_string(&mut text)
    };
    read.with_context(|| format!("{} is neither text nor gzip", path.display()))?;
    table::samples(&text, path).map_err(|why| anyhow!(why))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn plain_and_compressed_files_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed) = (folder.path().join("a.csv"), folder.path().join("b.csv.gz"));
        let text = "timestamp,value\n60,1.5\n120,2\n";
        std::fs::write(&plain, text).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(std::fs::File::create(&packed).unwrap(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
        assert_eq!(samples(&plain).unwrap(), [(60, 1.5), (120, 2.0)]);
        assert_eq!(samples(&packed).unwrap(), samples(&plain).unwrap());
        let names = |path: &Path| find(path).unwrap().into_iter().map(|recorded| recorded.name).collect::<Vec<_>>();
        assert_eq!(names(folder.path()), ["a", "b"]);
        assert_eq!(names(&packed), ["b"]);
        std::fs::write(&plain, "60,many\n").unwrap();
        assert!(samples(&plain).unwrap_err().to_string().ends_with("a.csv:1: `many` is not a number"));
    }

    #[test]
    fn an_index_says_which_series_drive_replicas() {
        let folder = tempfile::tempdir().unwrap();
        let index = "dataset,series,path,kind,step_seconds,days,group,notes,split\n\
            d,a,d/a.csv,requests,60,12,d/a,\"one, two\",dev\nd,b,d/b.csv,memory,60,12,d/b,,dev\n\
            d,c,d/c.csv,cpu,900,12,d/c,,dev\nd,e,d/e.csv,cpu,300,9.9,d/e,,dev\n";
        std::fs::write(folder.path().join("index.csv"), index).unwrap();
        let found = find(folder.path()).unwrap();
        let only = Recorded { name: "d/a".to_owned(), path: folder.path().join("d/a.csv"), group: "d/a".to_owned() };
        assert_eq!(found, [only]);
        std::fs::write(folder.path().join("index.csv"), "dataset\nd\n").unwrap();
        assert!(format!("{:#}", find(folder.path()).unwrap_err()).contains("missing field"));
        std::fs::remove_file(folder.path().join("index.csv")).unwrap();
        assert!(find(folder.path()).unwrap_err().to_string().contains("no series to try"));
    }
}
