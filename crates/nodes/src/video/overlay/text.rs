//! Texts as pixels.

use std::collections::HashMap;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont};

use super::super::VideoError;

/// How much of each pixel is covered, 0 to 255.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<u8>,
}

/// Sets texts in DejaVu Sans and remembers the glyphs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typesetter {
    glyphs: HashMap<(GlyphId, u32), Glyph>,
}

#[derive(Clone, Debug, Default)]
struct Glyph {
    left: i32,
    top: i32,
    coverage: Coverage,
}

impl Typesetter {
    /// A text of many scripts and sizes does not grow the memory of glyphs beyond this number.
    const MAX_GLYPHS: usize = 512;

    /// `text` in letters of `size` pixels from the highest ascender to the lowest descender. Lines break at line feeds,
    /// and at words where they would exceed `max_width`; what exceeds `max_width` or `max_height` pixels then is cut
    /// off.
    pub(crate) fn set(
        &mut self,
        text: &str,
        size: u32,
        max_width: usize,
        max_height: usize,
    ) -> Result<Coverage, VideoError> {
        let font = FontRef::try_from_slice(dejavu::sans::regular()).map_err(|error| VideoError::Font(error.into()))?;
        let scaled = font.as_scaled(PxScale::from(size as f32));
        let lines: Vec<Vec<(GlyphId, f32)>> =
            text.lines().flat_map(|line| break_line(line, &scaled, max_width as f32)).collect();
        let end = |line: &Vec<(GlyphId, f32)>| line.last().map_or(0.0, |(id, x)| x + scaled.h_advance(*id));
        let width = (lines.iter().map(end).fold(0.0, f32::max).ceil() as usize).min(max_width);
        let line_height = scaled.height() + scaled.line_gap();
        let height = ((line_height * lines.len() as f32).ceil() as usize).min(max_height);
        let mut coverage = Coverage { width, height, data: vec![0; width * height] };
        for (number, line) in lines.iter().enumerate() {
            let baseline = (number as f32 * line_height + scaled.ascent()).round() as i32;
            for (id, x) in line {
                let glyph = self.glyph(*id, size, &font);
                coverage.add(&glyph.coverage, x.round() as i32 + glyph.left, baseline + glyph.top);
            }
        }
        Ok(coverage)
    }

    fn glyph(&mut self, id: GlyphId, size: u32, font: &FontRef<'_>) -> &Glyph {
        if self.glyphs.len() >= Self::MAX_GLYPHS {
            self.glyphs.clear();
        }
        self.glyphs.entry((id, size)).or_insert_with(|| {
            let Some(outline) = font.outline_glyph(id.with_scale(size as f32)) else { return Glyph::default() };
            let bounds = outline.px_bounds();
            let (width, height) = (bounds.width() as usize, bounds.height() as usize);
            let mut coverage = Coverage { width, height, data: vec![0; width * height] };
            outline.draw(|x, y, covered| {
                if let Some(pixel) = coverage.data.get_mut(y as usize * width + x as usize) {
                    *pixel = (covered * 255.0).round().clamp(0.0, 255.0) as u8;
                }
            });
            Glyph { left: bounds.min.x as i32, top: bounds.min.y as i32, coverage }
        })
    }
}

impl Coverage {
    fn add(&mut self, glyph: &Coverage, left: i32, top: i32) {
        for (y, row) in glyph.data.chunks_exact(glyph.width.max(1)).enumerate() {
            let Ok(y) = usize::try_from(top + y as i32) else { continue };
            for (x, covered) in row.iter().enumerate() {
                let Ok(x) = usize::try_from(left + x as i32) else { continue };
                if x < self.width && y < self.height {
                    let pixel = &mut self.data[y * self.width + x];
                    *pixel = pixel.saturating_add(*covered);
                }
            }
        }
    }
}

/// The glyphs of a line with their places, in as many lines as it takes.
fn break_line<F: Font>(line: &str, font: &impl ScaleFont<F>, max_width: f32) -> Vec<Vec<(GlyphId, f32)>> {
    let mut lines = vec![Vec::new()];
    let (mut x, mut previous) = (0.0, None);
    for word in line.split_inclusive(' ') {
        let advance = |text: &str| text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum::<f32>();
        if x > 0.0 && x + advance(word.trim_end()) > max_width {
            lines.push(Vec::new());
            (x, previous) = (0.0, None);
        }
        for character in word.chars().filter(|character| !character.is_control()) {
            let id = font.glyph_id(character);
            let width = font.h_advance(id);
            if x > 0.0 && x + width > max_width && character != ' ' {
                lines.push(Vec::new());
                (x, previous) = (0.0, None);
            }
            x += previous.map_or(0.0, |previous| font.kern(previous, id));
            if let Some(line) = lines.last_mut() {
                line.push((id, x));
            }
            x += width;
            previous = Some(id);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_its_shape() {
        let coverage = Typesetter::default().set("I", 40, 100, 100).unwrap();
        let ink = |x: usize| coverage.data.iter().skip(x).step_by(coverage.width).filter(|c| **c > 128).count();
        let columns: Vec<usize> = (0..coverage.width).map(ink).collect();
        // One upright stem of about 0.63 of the size, and nothing beside it.
        assert!(columns.iter().max().unwrap().abs_diff(25) <= 2, "{columns:?}");
        assert!(columns.iter().filter(|ink| **ink > 0).count() <= 5, "{columns:?}");
    }

    #[test]
    fn long_lines_break_at_words_and_long_words_anywhere() {
        let mut typesetter = Typesetter::default();
        let one = typesetter.set("word", 20, 1_000, 1_000).unwrap();
        let two = typesetter.set("word word", 20, one.width + 4, 1_000).unwrap();
        assert!(two.height.abs_diff(2 * one.height) <= 1 && two.width <= one.width + 4);
        let broken = typesetter.set("wordwordword", 20, one.width + 4, 1_000).unwrap();
        assert!(broken.height >= 3 * one.height - 2 && broken.width <= one.width + 4);
    }

    #[test]
    fn every_character_can_be_set() {
        let mut typesetter = Typesetter::default();
        for code in (0..0x3000).filter_map(char::from_u32) {
            typesetter.set(&code.to_string(), 8, 20, 20).unwrap();
        }
        assert!(typesetter.glyphs.len() <= Typesetter::MAX_GLYPHS);
    }
}
