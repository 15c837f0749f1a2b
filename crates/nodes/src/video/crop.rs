use remotemedia_media::{PixelFormat, Plane, VideoFrame};
use remotemedia_runtime_core::{
    data::{DataKind, RuntimeData},
    manifest::MediaFormat,
    node::{AcceptedFormat, Emitter, Node, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces},
};

use super::{
    VideoError,
    picture::{Labels, is_420, pixel_bytes},
};

/// `VideoCrop`: cuts an area out of pictures. Takes every pixel format and keeps it; other data passes unchanged.
///
/// Params: `x`, `y` (default 0), from 0 to 16,383, `width` and `height` (default: up to the opposite edge), from 0 to
/// 16,384. `unit` says in what: `pixels` (the default), or `fraction` of the picture's width and height, 0 to 1, which
/// stays right when a sender changes its resolution.
///
/// What exceeds the picture is left out; an area that lies wholly beside it is an error. In `i420` and `nv12` the area
/// grows to even edges, since chroma has half the size. Pixels are not copied: the picture that is given away shows a
/// part of the one that came, and keeps its memory.
#[derive(Clone, Copy, Debug)]
pub struct VideoCrop {
    x: f64,
    y: f64,
    width: Option<f64>,
    height: Option<f64>,
    unit: CropUnit,
}

/// What the numbers of a [`VideoCrop`] count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CropUnit {
    /// Pixels.
    #[default]
    Pixels,
    /// Parts of the picture's width and height, 0 to 1.
    Fraction,
}

impl VideoCrop {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        let length = |name| ParamSpec::number(name, 0.0..=f64::from(VideoFrame::MAX_SIDE));
        // An area that begins at the longest side lies beside every picture.
        let edge = |name| ParamSpec::number(name, 0.0..=f64::from(VideoFrame::MAX_SIDE - 1));
        NodeType::new("VideoCrop", Self::from_params)
            .describe("Cuts an area out of pictures.")
            .param(edge("x").default_value(0).doc("The left edge of the area."))
            .param(edge("y").default_value(0).doc("The top edge of the area."))
            .param(length("width").doc("The width of the area; up to the right edge if missing."))
            .param(length("height").doc("The height of the area; up to the bottom if missing."))
            .param(
                ParamSpec::choice("unit", ["pixels", "fraction"])
                    .default_value("pixels")
                    .doc("What the numbers count: pixels, or parts of the picture from 0 to 1."),
            )
            .produces(Produces::SameAsInput)
            .takes_as(|params| Self::from_params(params).map(|crop| crop.accepted()).unwrap_or_default())
            .makes(|format, params| match format.kind {
                DataKind::Video => Some(Self::from_params(params).map_or(format, |crop| crop.made_of(format))),
                _ => Some(format),
            })
    }

    /// A crop of `width` x `height` from `x`, `y` on, all in `unit`; without a width or height up to the edge.
    pub fn new(x: f64, y: f64, width: Option<f64>, height: Option<f64>, unit: CropUnit) -> Self {
        Self { x, y, width, height, unit }
    }

    fn from_params(params: &Params) -> Result<Self, ParamProblem> {
        let unit = if params.text("unit") == Some("fraction") { CropUnit::Fraction } else { CropUnit::Pixels };
        for param in ["x", "y", "width", "height"] {
            let Some(value) = params.number(param) else { continue };
            let is_size = matches!(param, "width" | "height");
            let reason = match unit {
                CropUnit::Fraction if value > 1.0 => "as a fraction it is 0 to 1; for pixels say unit: pixels",
                CropUnit::Fraction if is_size && value <= 0.0 => "an area has a width and a height above 0",
                CropUnit::Fraction if !is_size && value >= 1.0 => {
                    "nothing is left of the picture there; use less than 1"
                }
                CropUnit::Pixels if value.fract() != 0.0 => {
                    "pixels are whole numbers; for fractions say unit: fraction"
                }
                CropUnit::Pixels if is_size && value < 1.0 => "an area has a width and a height of at least 1 pixel",
                _ => continue,
            };
            return Err(ParamProblem::Unusable { param, value: value.to_string(), reason: reason.to_owned() });
        }
        let number = |param| params.number(param);
        Ok(Self::new(number("x").unwrap_or(0.0), number("y").unwrap_or(0.0), number("width"), number("height"), unit))
    }

    /// Pictures of which something is left.
    fn accepted(&self) -> Vec<AcceptedFormat> {
        if self.unit == CropUnit::Fraction {
            return Vec::new();
        }
        let (halved, whole): (Vec<PixelFormat>, Vec<PixelFormat>) =
            PixelFormat::ALL.into_iter().partition(|format| is_420(*format));
        let beyond = |start: f64, align: u32| start as u32 / align * align + 1..=VideoFrame::MAX_SIDE;
        let formats = |formats, align| {
            let across = AcceptedFormat::video().pixel_formats(formats).width(beyond(self.x, align));
            across.height(beyond(self.y, align))
        };
        vec![formats(halved, 2), formats(whole, 1)]
    }

    /// What becomes of pictures of the format `format`, as far as that is known.
    fn made_of(&self, format: MediaFormat) -> MediaFormat {
        let align = format.pixel_format.map(|format| if is_420(format) { 2 } else { 1 });
        let length = |start, length, side: Option<u32>| {
            let (first, last) = self.edges(start, length, side?, align?);
            last.checked_sub(first)
        };
        let width = length(self.x, self.width, format.width);
        let height = length(self.y, self.height, format.height);
        MediaFormat { width, height, ..format }
    }

    fn crop(&self, frame: &VideoFrame) -> Result<VideoFrame, VideoError> {
        let (format, width, height) = (frame.format(), frame.width(), frame.height());
        let align = if is_420(format) { 2 } else { 1 };
        let across = self.edges(self.x, self.width, width, align);
        let down = self.edges(self.y, self.height, height, align);
        let ((x, right), (y, bottom)) = (across, down);
        if x >= right || y >= bottom {
            return Err(VideoError::OutsidePicture { x, y, width, height });
        }
        let mut planes = Vec::with_capacity(format.plane_count());
        for (index, plane) in frame.planes().iter().enumerate() {
            let Some(bytes) = pixel_bytes(format, index) else { return Err(VideoError::Format { format }) };
            let share = if index > 0 { align } else { 1 };
            let (left, top) = ((x / share) as usize, (y / share) as usize);
            let (row, rows) = format.plane_size(index, right - x, bottom - y).unwrap_or_default();
            let start = top * plane.stride + left * bytes;
            let end = start + plane.stride * rows.saturating_sub(1) + row;
            planes.push(Plane { data: plane.data.slice(start..end), stride: plane.stride });
        }
        let cropped = VideoFrame::from_planes(format, right - x, bottom - y, planes)?;
        Ok(Labels::of(frame).put_on(cropped))
    }

    /// The first and the last but one pixel of the area along one side of a picture.
    fn edges(&self, start: f64, length: Option<f64>, side: u32, align: u32) -> (u32, u32) {
        let scale = if self.unit == CropUnit::Fraction { f64::from(side) } else { 1.0 };
        // Nine tenths of a picture are not to become one pixel more because of the last bit of a float.
        let outward = |value: f64| (value * scale * 1e6).round() / 1e6;
        let first = outward(start).floor().max(0.0) as u32 / align * align;
        let last = length.map_or(side, |length| outward(start + length).ceil() as u32);
        (first, last.next_multiple_of(align).min(side))
    }
}

impl Node for VideoCrop {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match input {
            RuntimeData::Video { frame } => out.emit(self.crop(&frame)?),
            other => out.emit(other),
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        Self::from_params(params).map(|crop| *self = crop).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use remotemedia_runtime_core::node::process_once;

    use super::*;

    fn pixels(x: u32, y: u32, width: u32, height: u32) -> VideoCrop {
        let [x, y, width, height] = [x, y, width, height].map(f64::from);
        VideoCrop::new(x, y, Some(width), Some(height), CropUnit::Pixels)
    }

    #[test]
    fn packed_pixels_are_cut_exactly() {
        let frame = VideoFrame::from_packed(PixelFormat::Rgb24, 3, 2, (0..18).collect::<Vec<u8>>()).unwrap();
        let cropped = pixels(1, 1, 1, 1).crop(&frame).unwrap();
        assert_eq!(cropped.to_packed(), [12, 13, 14]);
    }

    #[test]
    fn chroma_makes_edges_even() {
        let frame = VideoFrame::i420(4, 4, (0..24).collect::<Vec<u8>>()).unwrap();
        let cropped = pixels(3, 1, 1, 1).crop(&frame).unwrap();
        assert_eq!(cropped.to_packed(), [2, 3, 6, 7, 17, 21]);
        let nv12 = VideoFrame::from_packed(PixelFormat::Nv12, 4, 4, (0..24).collect::<Vec<u8>>()).unwrap();
        assert_eq!(pixels(2, 2, 2, 2).crop(&nv12).unwrap().to_packed(), [10, 11, 14, 15, 22, 23]);
    }

    #[test]
    fn the_pixels_are_those_of_the_original() {
        let frame = VideoFrame::i420(8, 8, vec![0; 96]).unwrap();
        let output = process_once(&mut pixels(2, 4, 4, 4), frame.clone()).unwrap();
        let cropped = output[0].as_video().unwrap();
        assert_eq!(cropped.planes()[0].data.as_ptr(), frame.planes()[0].data[8 * 4 + 2..].as_ptr());
        assert_eq!(cropped.planes()[2].data.as_ptr(), frame.planes()[2].data[4 * 2 + 1..].as_ptr());
    }

    #[test]
    fn fractions_follow_the_resolution() {
        let crop = VideoCrop::new(0.25, 0.5, Some(0.5), None, CropUnit::Fraction);
        for (width, height) in [(640, 360), (1280, 720)] {
            let frame = VideoFrame::i420(width, height, vec![0; (width * height * 3 / 2) as usize]).unwrap();
            let cropped = crop.crop(&frame).unwrap();
            assert_eq!((cropped.width(), cropped.height()), (width / 2, height / 2));
        }
    }

    #[test]
    fn an_area_is_cut_off_at_the_edge_and_refused_beside_it() {
        let frame = VideoFrame::i420(5, 5, vec![0; 25 + 18]).unwrap();
        let cropped = pixels(4, 2, 100, 100).crop(&frame).unwrap();
        assert_eq!((cropped.width(), cropped.height()), (1, 3));
        let error = pixels(6, 0, 2, 2).crop(&frame).unwrap_err();
        assert!(error.to_string().contains("the picture has 5x5 pixels"), "{error}");
    }
}
