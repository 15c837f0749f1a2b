use remotemedia_media::VideoFrame;
use remotemedia_runtime_core::{
    data::{DataKind, RuntimeData},
    manifest::MediaFormat,
    node::{Conversion, Emitter, Node, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces},
};
use remotemedia_scale::{Area, Kernel, Scaler};

use super::{
    VideoError,
    picture::{Labels, components, is_420, pixel_bytes, pixels_of, split_planes},
};

/// `VideoScale`: makes pictures larger or smaller. Takes every pixel format and keeps it; other data passes unchanged.
///
/// Params: `width` and `height`, from 2 to 16,384 pixels and even, for pictures of exactly that size; if one of them is
/// missing, it follows from the picture's aspect. Or `max_width` and `max_height`, from 2 to 16,384 pixels, for
/// pictures that are made smaller until they fit, and never larger.
///
/// `fit` says what becomes of a picture whose aspect is not that of `width` and `height`: `contain` (the default) shows
/// all of it between black bars, `cover` fills the whole size and cuts off what exceeds it, `stretch` distorts it.
/// `filter` is `bilinear` (the default) or `lanczos`, sharper and about twice the work; both take every pixel of the
/// original into account, so that nothing flickers when a picture is made much smaller.
///
/// Sides that follow from an aspect are rounded to even numbers, at least 2. A picture that has the right size already
/// passes uncopied.
#[derive(Clone, Debug)]
pub struct VideoScale {
    size: Size,
    fit: Fit,
    filter: Filter,
    scaler: Scaler,
}

/// What becomes of a picture whose aspect is not that of the size it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// All of it is shown, between black bars.
    #[default]
    Contain,
    /// It fills the size; what exceeds it is cut off evenly.
    Cover,
    /// It is distorted.
    Stretch,
}

/// How pixels are weighted when a picture is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// A triangle.
    #[default]
    Bilinear,
    /// A windowed sinc of three lobes: sharper.
    Lanczos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Exactly(u32, u32),
    Width(u32),
    Height(u32),
    AtMost(u32, u32),
}

/// Where a part of the picture goes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plan {
    width: u32,
    height: u32,
    from: Area<f64>,
    inside: Area<u32>,
}

impl VideoScale {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        let side = |name| ParamSpec::integer(name, 2..=i64::from(VideoFrame::MAX_SIDE)).unit("pixels");
        NodeType::heavy("VideoScale", Self::from_params)
            .describe("Makes pictures larger or smaller.")
            .param(side("width").doc("The width, an even number; from the height and the aspect if missing."))
            .param(side("height").doc("The height, an even number; from the width and the aspect if missing."))
            .param(side("max_width").doc("Pictures wider than this are made smaller."))
            .param(side("max_height").doc("Pictures higher than this are made smaller."))
            .param(
                ParamSpec::choice("fit", ["contain", "cover", "stretch"])
                    .default_value("contain")
                    .doc("What becomes of another aspect: black bars, cut edges or a distorted picture."),
            )
            .param(
                ParamSpec::choice("filter", ["bilinear", "lanczos"])
                    .default_value("bilinear")
                    .doc("How pixels are weighted; lanczos is sharper and costs more."),
            )
            .produces(Produces::SameAsInput)
            .makes(|format, params| match format.kind {
                DataKind::Video => Some(Self::from_params(params).map_or(format, |node| node.made_of(format))),
                _ => Some(format),
            })
            .converts(Conversion::Size { width: "width", height: "height" })
    }

    /// Pictures of exactly `width` x `height`, each rounded down to an even number and at least 2.
    pub fn exactly(width: u32, height: u32, fit: Fit) -> Self {
        Self::new(Size::Exactly(even(width), even(height)), fit)
    }

    /// Pictures no larger than `max_width` x `max_height`, their aspect kept; smaller ones pass as they are.
    pub fn at_most(max_width: u32, max_height: u32) -> Self {
        Self::new(Size::AtMost(max_width.max(2), max_height.max(2)), Fit::Contain)
    }

    /// The same node with another filter.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    fn new(size: Size, fit: Fit) -> Self {
        Self { size, fit, filter: Filter::default(), scaler: Scaler::default() }
    }

    fn from_params(params: &Params) -> Result<Self, ParamProblem> {
        let side = |param| params.integer(param).and_then(|side| u32::try_from(side).ok());
        refuse_odd_sides(params)?;
        let size = match (side("width"), side("height"), side("max_width"), side("max_height")) {
            (Some(_), _, Some(_), _) => return Err(ParamProblem::Exclusive { first: "width", second: "max_width" }),
            (Some(_), _, _, Some(_)) => return Err(ParamProblem::Exclusive { first: "width", second: "max_height" }),
            (_, Some(_), Some(_), _) => return Err(ParamProblem::Exclusive { first: "height", second: "max_width" }),
            (_, Some(_), _, Some(_)) => return Err(ParamProblem::Exclusive { first: "height", second: "max_height" }),
            (Some(width), Some(height), ..) => Size::Exactly(width, height),
            (Some(width), None, ..) => Size::Width(width),
            (None, Some(height), ..) => Size::Height(height),
            (None, None, None, None) => {
                let expected = "width, height or both, or max_width, max_height or both".to_owned();
                return Err(ParamProblem::Missing { param: "width", expected });
            }
            (None, None, width, height) => {
                Size::AtMost(width.unwrap_or(VideoFrame::MAX_SIDE), height.unwrap_or(VideoFrame::MAX_SIDE))
            }
        };
        let fit = match params.text("fit") {
            Some("cover") => Fit::Cover,
            Some("stretch") => Fit::Stretch,
            _ => Fit::Contain,
        };
        let filter = match params.text("filter") {
            Some("lanczos") => Filter::Lanczos,
            _ => Filter::Bilinear,
        };
        Ok(Self::new(size, fit).with_filter(filter))
    }

    /// `None` if the picture has the right size.
    pub(crate) fn scale(&mut self, frame: &VideoFrame) -> Result<Option<VideoFrame>, VideoError> {
        let Some(plan) = self.plan(frame.width(), frame.height()) else { return Ok(None) };
        let (format, Plan { width, height, from, inside }) = (frame.format(), plan);
        if pixel_bytes(format, 0).is_none() {
            return Err(VideoError::Format { format });
        }
        let filter = match self.filter {
            Filter::Bilinear => Kernel::Bilinear,
            Filter::Lanczos => Kernel::Lanczos3,
        };
        let mut packed = vec![0; format.packed_len(width, height)];
        for (index, plane) in split_planes(format, width, height, &mut packed).into_iter().enumerate() {
            let Some(pixels) = pixels_of(frame, index) else { return Err(VideoError::Format { format }) };
            if (inside.width, inside.height) != (width, height) {
                let black = components(format, index, [0, 0, 0]);
                plane.chunks_exact_mut(pixels.bytes).for_each(|pixel| pixel.copy_from_slice(&black[..pixels.bytes]));
            }
            let (share, whole) = if is_420(format) && index > 0 { (2, 0.5) } else { (1, 1.0) };
            // Half a picture of odd sides ends within the last chroma pixel.
            let from = Area {
                left: from.left * whole,
                top: from.top * whole,
                width: from.width * whole,
                height: from.height * whole,
            };
            let inside = Area {
                left: inside.left / share,
                top: inside.top / share,
                width: inside.width / share,
                height: inside.height / share,
            };
            self.scaler.scale(pixels, Some(from), plane, (width / share, height / share), inside, filter)?;
        }
        let scaled = VideoFrame::from_packed(format, width, height, packed)?;
        Ok(Some(Labels::of(frame).put_on(scaled)))
    }

    /// What becomes of pictures of the format `format`, as far as that is known.
    fn made_of(&self, format: MediaFormat) -> MediaFormat {
        let (width, height) = match (self.size, format.width.zip(format.height)) {
            (_, Some((width, height))) => {
                let plan = self.plan(width, height);
                plan.map_or((Some(width), Some(height)), |plan| (Some(plan.width), Some(plan.height)))
            }
            (Size::Exactly(width, height), None) => (Some(width), Some(height)),
            (Size::Width(width), None) => (Some(width), None),
            (Size::Height(height), None) => (None, Some(height)),
            (Size::AtMost(..), None) => (None, None),
        };
        MediaFormat { width, height, ..format }
    }

    fn plan(&self, width: u32, height: u32) -> Option<Plan> {
        let (w, h) = (f64::from(width), f64::from(height));
        let (to_width, to_height, fit) = match self.size {
            Size::Exactly(to_width, to_height) => (to_width, to_height, self.fit),
            Size::Width(to_width) => (to_width, nearest_even(h * f64::from(to_width) / w), Fit::Stretch),
            Size::Height(to_height) => (nearest_even(w * f64::from(to_height) / h), to_height, Fit::Stretch),
            Size::AtMost(max_width, max_height) => {
                let scale = (f64::from(max_width) / w).min(f64::from(max_height) / h);
                if scale >= 1.0 {
                    return None;
                }
                (
                    nearest_even(w * scale).min(even(max_width)),
                    nearest_even(h * scale).min(even(max_height)),
                    Fit::Stretch,
                )
            }
        };
        if (to_width, to_height) == (width, height) {
            return None;
        }
        let (across, down) = (f64::from(to_width) / w, f64::from(to_height) / h);
        let mut plan = Plan {
            width: to_width,
            height: to_height,
            from: Area { left: 0.0, top: 0.0, width: w, height: h },
            inside: Area::whole(to_width, to_height),
        };
        match fit {
            Fit::Stretch => {}
            Fit::Contain => {
                let scale = across.min(down);
                let (inner_width, inner_height) =
                    (nearest_even(w * scale).min(to_width), nearest_even(h * scale).min(to_height));
                plan.inside = Area {
                    left: ((to_width - inner_width) / 2) & !1,
                    top: ((to_height - inner_height) / 2) & !1,
                    width: inner_width,
                    height: inner_height,
                };
            }
            Fit::Cover => {
                let scale = across.max(down);
                let (shown_width, shown_height) =
                    ((f64::from(to_width) / scale).min(w), (f64::from(to_height) / scale).min(h));
                plan.from = Area {
                    left: (w - shown_width) / 2.0,
                    top: (h - shown_height) / 2.0,
                    width: shown_width,
                    height: shown_height,
                };
            }
        }
        Some(plan)
    }
}

impl Node for VideoScale {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match input {
            RuntimeData::Video { frame } => match self.scale(&frame)? {
                Some(scaled) => out.emit(scaled),
                None => out.emit(frame),
            },
            other => out.emit(other),
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok(Self { size, fit, filter, .. }) = Self::from_params(params) else { return false };
        (self.size, self.fit, self.filter) = (size, fit, filter);
        true
    }
}

/// Chroma has half the size of luma: `width` and `height` have to be even.
pub(crate) fn refuse_odd_sides(params: &Params) -> Result<(), ParamProblem> {
    for param in ["width", "height"] {
        if let Some(odd) = params.integer(param).filter(|side| side % 2 == 1) {
            let reason = format!("pictures have even sides; use {} or {}", odd - 1, odd + 1);
            return Err(ParamProblem::Unusable { param, value: odd.to_string(), reason });
        }
    }
    Ok(())
}

fn even(side: u32) -> u32 {
    (side & !1).clamp(2, VideoFrame::MAX_SIDE)
}

fn nearest_even(side: f64) -> u32 {
    ((side / 2.0).round().min(f64::from(VideoFrame::MAX_SIDE)) as u32 * 2).clamp(2, VideoFrame::MAX_SIDE)
}

#[cfg(test)]
mod tests {
    use remotemedia_media::PixelFormat;

    use super::*;

    /// A picture of one colour.
    fn solid(format: PixelFormat, width: u32, height: u32, rgb: [u8; 3]) -> VideoFrame {
        let mut packed = vec![0; format.packed_len(width, height)];
        for (index, plane) in split_planes(format, width, height, &mut packed).into_iter().enumerate() {
            let bytes = pixel_bytes(format, index).unwrap();
            plane.chunks_exact_mut(bytes).for_each(|p| p.copy_from_slice(&components(format, index, rgb)[..bytes]));
        }
        VideoFrame::from_packed(format, width, height, packed).unwrap()
    }

    fn size(node: &VideoScale, width: u32, height: u32) -> (u32, u32) {
        node.plan(width, height).map_or((width, height), |plan| (plan.width, plan.height))
    }

    #[test]
    fn the_missing_side_follows_from_the_aspect_and_is_even() {
        assert_eq!(size(&VideoScale::new(Size::Width(640), Fit::Contain), 1920, 1080), (640, 360));
        assert_eq!(size(&VideoScale::new(Size::Height(480), Fit::Contain), 1921, 1081), (852, 480));
        assert_eq!(size(&VideoScale::new(Size::Width(640), Fit::Contain), 16_384, 1), (640, 2));
        assert_eq!(size(&VideoScale::new(Size::Width(16_384), Fit::Contain), 1, 16_384), (16_384, 16_384));
    }

    #[test]
    fn pictures_are_only_made_smaller_by_a_maximum() {
        let node = VideoScale::at_most(1280, 720);
        assert_eq!(size(&node, 1920, 1080), (1280, 720));
        assert_eq!(size(&node, 1080, 1920), (406, 720));
        assert_eq!(size(&node, 321, 181), (321, 181));
    }

    #[test]
    fn contain_leaves_black_bars_and_cover_none() {
        let white = solid(PixelFormat::I420, 40, 20, [255; 3]);
        let scaled = VideoScale::exactly(20, 20, Fit::Contain).scale(&white).unwrap().unwrap();
        let column: Vec<u8> = scaled.rows(0).map(|row| row[10]).collect();
        assert_eq!(column, [[16; 4].as_slice(), &[235; 10], &[16; 6]].concat());
        assert!(scaled.rows(1).chain(scaled.rows(2)).flatten().all(|value| *value == 128));
        let scaled = VideoScale::exactly(20, 20, Fit::Cover).scale(&white).unwrap().unwrap();
        assert!(scaled.rows(0).flatten().all(|value| *value == 235));
    }

    #[test]
    fn cover_shows_the_middle() {
        // Red, green, blue from left to right.
        let row: Vec<u8> = [[255, 0, 0], [0, 255, 0], [0, 0, 255]].iter().flat_map(|rgb| rgb.repeat(20)).collect();
        let frame = VideoFrame::from_packed(PixelFormat::Rgb24, 60, 20, row.repeat(20)).unwrap();
        let scaled = VideoScale::exactly(10, 10, Fit::Cover).scale(&frame).unwrap().unwrap();
        assert_eq!(scaled.rows(0).next().unwrap()[3 * 5..3 * 5 + 3], [0, 255, 0]);
        let stretched = VideoScale::exactly(10, 10, Fit::Stretch).scale(&frame).unwrap().unwrap();
        assert_eq!(stretched.rows(0).next().unwrap()[..3], [255, 0, 0]);
    }
}
