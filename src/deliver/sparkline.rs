//! A series in one line of text.

/// Eight levels between zero and the greatest value of both series, so that history and forecast share one scale; a gap is a dot.
pub fn pair(history: &[Option<f64>], ahead: &[f64]) -> (String, String) {
    let most = history.iter().flatten().chain(ahead).copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let bar = |value: f64| {
        const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let level = if most > 0.0 { (value / most * 8.0).ceil() as usize } else { 0 };
        LEVELS[level.clamp(1, 8) - 1]
    };
    (history.iter().map(|value| value.map_or('·', bar)).collect(), ahead.iter().map(|value| bar(*value)).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn history_and_forecast_share_a_scale() {
        let (history, ahead) = super::pair(&[Some(0.0), None, Some(4.0)], &[8.0, 2.0]);
        assert_eq!((history.as_str(), ahead.as_str()), ("▁·▄", "█▂"));
        assert_eq!(super::pair(&[Some(0.0)], &[]).0, "▁");
    }
}
