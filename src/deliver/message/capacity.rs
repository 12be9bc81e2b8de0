//! The words for what one replica carries, as learned.

use crate::model::{CpuCost, Knee, LearnedCapacity, OfVersion};

use super::trimmed;

/// What one replica carries, and what tells so.
pub(super) fn learned(LearnedCapacity { capacity, cpu, knee }: &LearnedCapacity) -> String {
    let mut told = Vec::new();
    if let Some(CpuCost { each, idle, usable, explained, hours, version }) = cpu {
        let of = version.as_ref().map_or(String::new(), of_version);
        told.push(format!(
            "learned over {hours} h{of}: {} of CPU each ({:.0} % explained), of the {} that it may use, less {} idle",
            cores(*each),
            explained * 100.0,
            cores(*usable),
            cores(*idle)
        ));
    }
    if let Some(Knee { load, latency, beyond, hours }) = knee {
        told.push(format!(
            "its latency, over {hours} h, turns up at {}: the 95th percentile is {} there, and {} at the most it carried",
            trimmed(*load, 2),
            significant(*latency),
            significant(*beyond)
        ));
    }
    format!("one replica carries {}, {}", trimmed(*capacity, 2), told.join("; "))
}

fn of_version(OfVersion { images, hours, factor }: &OfVersion) -> String {
    let images: Vec<&str> = images.iter().map(|image| short(image)).collect();
    let images = images.join(" and ");
    match factor {
        None => format!(" of {images}"),
        Some(1.0) => format!(" of what ran before {images}, which runs for {hours} h and takes no other CPU as far as is seen"),
        Some(factor) => format!(" of what ran before {images}, which runs for {hours} h and takes {} times its CPU", trimmed(*factor, 2)),
    }
}

/// An image without its registry and its folders, its digest cut short.
fn short(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once("@sha256:") {
        Some((before, _)) if before.contains(':') => before,
        Some((before, digest)) => &name[..before.len() + "@sha256:".len() + digest.len().min(12)],
        None => name,
    }
}

/// Three significant digits.
fn significant(value: f64) -> String {
    let digits = (2.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 9.0);
    trimmed(value, digits as usize)
}

/// CPU in whole or thousandth cores, finer where it is less.
fn cores(cores: f64) -> String {
    if cores >= 0.01 { format!("{}m", trimmed(cores * 1000.0, 0)) } else { format!("{}m", trimmed(cores * 1000.0, 3)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_shortly() {
        let digest = "0".repeat(64);
        assert_eq!(short("registry.example:5000/shop/web:1.2"), "web:1.2");
        assert_eq!(short(&format!("shop/web:1.2@sha256:{digest}")), "web:1.2");
        assert_eq!(short(&format!("web@sha256:{digest}")), format!("web@sha256:{}", &digest[..12]));
        assert_eq!([0.123_456, 12.3456, 1234.6].map(significant), ["0.123", "12.3", "1235"]);
    }
}
