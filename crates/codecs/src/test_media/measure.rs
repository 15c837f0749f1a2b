use remotemedia_media::VideoFrame;

/// Peak signal-to-noise ratio of the first planes, luma in I420, in dB over the rows and columns that both have;
/// infinite for equal pictures.
///
/// Up to one row and column may be missing on one side, as H.264 loses them of odd sizes; `None` if the sizes differ by
/// more.
pub fn psnr_y(a: &VideoFrame, b: &VideoFrame) -> Option<f64> {
    if a.width().abs_diff(b.width()) > 1 || a.height().abs_diff(b.height()) > 1 {
        return None;
    }
    let (mut error, mut pixels) = (0u64, 0u64);
    for (row_a, row_b) in a.rows(0).zip(b.rows(0)) {
        let row_error: u32 = row_a.iter().zip(row_b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum();
        error += u64::from(row_error);
        pixels += row_a.len().min(row_b.len()) as u64;
    }
    let mean = error as f64 / pixels as f64;
    Some(if error == 0 { f64::INFINITY } else { 10.0 * (255.0 * 255.0 / mean).log10() })
}

/// The highest normalised correlation of `heard` with `original` when it is shifted by up to `max_shift` samples, and
/// that shift: how many samples `heard` trails. 0.0 for silence.
pub fn correlation(original: &[f32], heard: &[f32], max_shift: usize) -> (f64, usize) {
    (0..=max_shift.min(heard.len()))
        .map(|shift| (normalised(original, &heard[shift..]), shift))
        .fold((f64::MIN, 0), |best, next| if next.0 > best.0 { next } else { best })
}

fn normalised(a: &[f32], b: &[f32]) -> f64 {
    let (mut product, mut power_a, mut power_b) = (0f64, 0f64, 0f64);
    for (a, b) in a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b))) {
        product += a * b;
        power_a += a * a;
        power_b += b * b;
    }
    let power = (power_a * power_b).sqrt();
    if power == 0.0 { 0.0 } else { product / power }
}
