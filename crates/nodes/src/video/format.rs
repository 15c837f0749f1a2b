use std::borrow::Cow;

use remotemedia_media::{PixelFormat, VideoFrame};
use remotemedia_runtime_core::{
    data::{DataKind, RuntimeData},
    manifest::MediaFormat,
    node::{Conversion, Emitter, Node, NodeResult, NodeType, ParamSpec, Params, Produces},
};
use yuv::{
    BufferStoreMut, YuvBiPlanarImage, YuvBiPlanarImageMut, YuvConversionMode, YuvPlanarImage, YuvPlanarImageMut,
    YuvRange, YuvStandardMatrix,
};

use super::{
    VideoError,
    picture::{Labels, split_planes, whole_rows},
};

/// `VideoFormat`: converts pictures to another pixel format. Takes every pixel format; other data passes unchanged.
///
/// Params: `format`, which must be given: `i420`, `nv12`, `rgb24`, `rgba` or `bgra`. `matrix` (`bt601`, the default,
/// `bt709` or `bt2020`) and `range` (`limited`, the default, or `full`) say what the values of `i420` and `nv12` mean;
/// the defaults are what the codecs here and WebRTC endpoints assume. Between two formats of the same family the values
/// stay as they are. Chroma is halved in both directions by `i420` and `nv12`; transparency is dropped where the format
/// has none, and full where it is new. A picture that has the format already passes uncopied.
#[derive(Clone, Copy, Debug)]
pub struct VideoFormat {
    format: PixelFormat,
    matrix: ColorMatrix,
    range: ColorRange,
}

/// How luma and chroma are made of red, green and blue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorMatrix {
    /// ITU-R BT.601: standard definition, and WebRTC.
    #[default]
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020: ultra-high definition.
    Bt2020,
}

/// Which values luma and chroma have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorRange {
    /// 16 to 235 for luma, 16 to 240 for chroma.
    #[default]
    Limited,
    /// 0 to 255.
    Full,
}

impl VideoFormat {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("VideoFormat", |params| Ok(Self::from_params(params)))
            .describe("Converts pictures to another pixel format.")
            .param(
                ParamSpec::choice("format", ["i420", "nv12", "rgb24", "rgba", "bgra"])
                    .required()
                    .doc("The pixel format that pictures get."),
            )
            .param(
                ParamSpec::choice("matrix", ["bt601", "bt709", "bt2020"])
                    .default_value("bt601")
                    .doc("How the luma and chroma of i420 and nv12 are made of red, green and blue."),
            )
            .param(
                ParamSpec::choice("range", ["limited", "full"])
                    .default_value("limited")
                    .doc("Which values the luma and chroma of i420 and nv12 have."),
            )
            .produces(Produces::SameAsInput)
            .makes(|format, params| match format.kind {
                DataKind::Video => Some(MediaFormat { pixel_format: Some(Self::from_params(params).format), ..format }),
                _ => Some(format),
            })
            .converts(Conversion::PixelFormat("format"))
    }

    /// A conversion to `format`, with BT.601 in limited range.
    pub fn new(format: PixelFormat) -> Self {
        Self { format, matrix: ColorMatrix::default(), range: ColorRange::default() }
    }

    /// The same conversion with other colours in I420 and NV12.
    #[must_use]
    pub fn with_colors(mut self, matrix: ColorMatrix, range: ColorRange) -> Self {
        (self.matrix, self.range) = (matrix, range);
        self
    }

    fn from_params(params: &Params) -> Self {
        let format = match params.text("format") {
            Some("nv12") => PixelFormat::Nv12,
            Some("rgb24") => PixelFormat::Rgb24,
            Some("rgba") => PixelFormat::Rgba,
            Some("bgra") => PixelFormat::Bgra,
            _ => PixelFormat::I420,
        };
        let matrix = match params.text("matrix") {
            Some("bt709") => ColorMatrix::Bt709,
            Some("bt2020") => ColorMatrix::Bt2020,
            _ => ColorMatrix::Bt601,
        };
        let range = if params.text("range") == Some("full") { ColorRange::Full } else { ColorRange::Limited };
        Self::new(format).with_colors(matrix, range)
    }

    /// `None` if the picture has the format.
    pub(crate) fn convert(&self, frame: &VideoFrame) -> Result<Option<VideoFrame>, VideoError> {
        if frame.format() == self.format {
            return Ok(None);
        }
        let mut packed = vec![0; self.format.packed_len(frame.width(), frame.height())];
        let mut planes = split_planes(self.format, frame.width(), frame.height(), &mut packed).into_iter();
        match (planes.next(), planes.next(), planes.next()) {
            (Some(y), Some(u), Some(v)) => self.to_i420(frame, [y, u, v])?,
            (Some(y), Some(uv), None) => self.to_nv12(frame, y, uv)?,
            (Some(rgb), None, None) => self.to_rgb(frame, rgb)?,
            _ => return Err(VideoError::Format { format: self.format }),
        }
        let converted = VideoFrame::from_packed(self.format, frame.width(), frame.height(), packed)?;
        Ok(Some(Labels::of(frame).put_on(converted)))
    }

    fn to_i420(self, frame: &VideoFrame, [y, u, v]: [&mut [u8]; 3]) -> Result<(), VideoError> {
        let (width, height) = (frame.width(), frame.height());
        if frame.format() == PixelFormat::Nv12 {
            copy_rows(frame, y);
            let pairs = frame.rows(1).flat_map(|row| row.chunks_exact(2));
            for ((u, v), pair) in u.iter_mut().zip(v).zip(pairs) {
                (*u, *v) = (pair[0], pair[1]);
            }
            return Ok(());
        }
        let convert = match frame.format() {
            PixelFormat::Rgb24 => yuv::rgb_to_yuv420,
            PixelFormat::Rgba => yuv::rgba_to_yuv420,
            PixelFormat::Bgra => yuv::bgra_to_yuv420,
            format => return Err(VideoError::Format { format }),
        };
        let mut planes = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(y),
            y_stride: width,
            u_plane: BufferStoreMut::Borrowed(u),
            u_stride: width.div_ceil(2),
            v_plane: BufferStoreMut::Borrowed(v),
            v_stride: width.div_ceil(2),
            width,
            height,
        };
        let (rgb, stride) = whole_rows(frame, 0);
        convert(&mut planes, &rgb, stride, self.yuv_range(), self.yuv_matrix(), YuvConversionMode::Balanced)
            .map_err(failed)
    }

    fn to_nv12(self, frame: &VideoFrame, y: &mut [u8], uv: &mut [u8]) -> Result<(), VideoError> {
        let (width, height) = (frame.width(), frame.height());
        if frame.format() == PixelFormat::I420 {
            copy_rows(frame, y);
            let chroma = frame.rows(1).flatten().zip(frame.rows(2).flatten());
            for (pair, (u, v)) in uv.chunks_exact_mut(2).zip(chroma) {
                pair.copy_from_slice(&[*u, *v]);
            }
            return Ok(());
        }
        let convert = match frame.format() {
            PixelFormat::Rgb24 => yuv::rgb_to_yuv_nv12,
            PixelFormat::Rgba => yuv::rgba_to_yuv_nv12,
            PixelFormat::Bgra => yuv::bgra_to_yuv_nv12,
            format => return Err(VideoError::Format { format }),
        };
        let mut planes = YuvBiPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(y),
            y_stride: width,
            uv_plane: BufferStoreMut::Borrowed(uv),
            uv_stride: width.div_ceil(2) * 2,
            width,
            height,
        };
        let (rgb, stride) = whole_rows(frame, 0);
        convert(&mut planes, &rgb, stride, self.yuv_range(), self.yuv_matrix(), YuvConversionMode::Balanced)
            .map_err(failed)
    }

    fn to_rgb(self, frame: &VideoFrame, rgb: &mut [u8]) -> Result<(), VideoError> {
        let (width, height) = (frame.width(), frame.height());
        let (first, first_stride) = whole_rows(frame, 0);
        let (range, matrix) = (self.yuv_range(), self.yuv_matrix());
        let bytes = if self.format == PixelFormat::Rgb24 { 3 } else { 4 };
        let stride = width * bytes;
        match frame.format() {
            PixelFormat::I420 => {
                let ((u, u_stride), (v, v_stride)) = (whole_rows(frame, 1), whole_rows(frame, 2));
                let planes = YuvPlanarImage {
                    y_plane: &first,
                    y_stride: first_stride,
                    u_plane: &u,
                    u_stride,
                    v_plane: &v,
                    v_stride,
                    width,
                    height,
                };
                let convert = match self.format {
                    PixelFormat::Rgb24 => yuv::yuv420_to_rgb,
                    PixelFormat::Rgba => yuv::yuv420_to_rgba,
                    _ => yuv::yuv420_to_bgra,
                };
                convert(&planes, rgb, stride, range, matrix).map_err(failed)?;
            }
            PixelFormat::Nv12 => {
                let (uv, uv_stride) = whole_rows(frame, 1);
                let planes = YuvBiPlanarImage {
                    y_plane: &first,
                    y_stride: first_stride,
                    uv_plane: &uv,
                    uv_stride,
                    width,
                    height,
                };
                let convert = match self.format {
                    PixelFormat::Rgb24 => yuv::yuv_nv12_to_rgb,
                    PixelFormat::Rgba => yuv::yuv_nv12_to_rgba,
                    _ => yuv::yuv_nv12_to_bgra,
                };
                convert(&planes, rgb, stride, range, matrix, YuvConversionMode::Balanced).map_err(failed)?;
            }
            from => {
                let convert = match (from, self.format) {
                    (PixelFormat::Rgb24, PixelFormat::Rgba) => yuv::rgb_to_rgba,
                    (PixelFormat::Rgb24, PixelFormat::Bgra) => yuv::rgb_to_bgra,
                    (PixelFormat::Rgba, PixelFormat::Rgb24) => yuv::rgba_to_rgb,
                    (PixelFormat::Rgba, PixelFormat::Bgra) => yuv::rgba_to_bgra,
                    (PixelFormat::Bgra, PixelFormat::Rgb24) => yuv::bgra_to_rgb,
                    (PixelFormat::Bgra, PixelFormat::Rgba) => yuv::bgra_to_rgba,
                    (format, _) => return Err(VideoError::Format { format }),
                };
                convert(&first, first_stride, rgb, stride, width, height).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn yuv_range(self) -> YuvRange {
        match self.range {
            ColorRange::Limited => YuvRange::Limited,
            ColorRange::Full => YuvRange::Full,
        }
    }

    fn yuv_matrix(self) -> YuvStandardMatrix {
        match self.matrix {
            ColorMatrix::Bt601 => YuvStandardMatrix::Bt601,
            ColorMatrix::Bt709 => YuvStandardMatrix::Bt709,
            ColorMatrix::Bt2020 => YuvStandardMatrix::Bt2020,
        }
    }
}

impl Node for VideoFormat {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match input {
            RuntimeData::Video { frame } => match self.convert(&frame)? {
                Some(converted) => out.emit(converted),
                None => out.emit(frame),
            },
            other => out.emit(other),
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        *self = Self::from_params(params);
        true
    }
}

/// The picture in `format`, with the colours that the codecs here assume.
pub(crate) fn in_format(frame: &VideoFrame, format: PixelFormat) -> Result<Cow<'_, VideoFrame>, VideoError> {
    Ok(VideoFormat::new(format).convert(frame)?.map_or(Cow::Borrowed(frame), Cow::Owned))
}

fn failed(error: yuv::YuvError) -> VideoError {
    VideoError::Convert(error.into())
}

fn copy_rows(frame: &VideoFrame, y: &mut [u8]) {
    for (to, from) in y.chunks_exact_mut(frame.width() as usize).zip(frame.rows(0)) {
        to.copy_from_slice(from);
    }
}
