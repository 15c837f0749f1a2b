//! `BackgroundBlur`.

mod backdrop;
mod mask;
#[cfg(feature = "onnx")]
mod onnx;
mod soften;
mod static_camera;
mod stretch;
mod thumbnail;

use std::sync::Arc;

use remotemedia_media::VideoFrame;
use remotemedia_runtime_core::{
    data::RuntimeData,
    node::{Emitter, Node, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces},
};

use self::{backdrop::Compositor, mask::Mask, static_camera::StaticCamera, thumbnail::Thumbnailer};
use super::{Image, VideoError, overlay::color, streams::Streams};

/// `BackgroundBlur`: keeps the person in front of the camera sharp and blurs what is behind. Takes every pixel format
/// and keeps it; other data passes unchanged.
///
/// Params: `blur_strength`, 0 to 100 (default 15), the standard deviation of the blur in pixels of a picture that is
/// 720 pixels high; 0 blurs nothing. `mask_padding`, 0 to 100 (default 10), by how many of these pixels the sharp area
/// is wider than the person that was found. Both scale with the picture's height, so that a sender that changes its
/// resolution looks the same. `mode`: `blur` (the default), `color` (the background has the `color`, `#rrggbb`, default
/// `#1f2a37`), or `image` (the background is the PNG file `image`, cut to the picture's aspect). `model`: the path of
/// an ONNX segmentation model to find the person with, instead of the method that is built in; it needs the cargo
/// feature `onnx`.
///
/// **Without a model** the node learns per stream how every spot of the scene looks while nothing is in front of it,
/// and what differs from that is the person. This needs no model file, but has limits. The camera must
/// stand still: when more than half of the picture changes at once, everything is learnt anew. In the first half
/// second, and where the background was never seen, the shape of a head with shoulders in the middle of the picture
/// counts as the person. Who enters later is found wherever they are. Outside of that shape, what stands perfectly
/// still for five seconds becomes background; inside of it this takes up to a minute. Clothes that look like the wall
/// behind them have holes, which are closed where the outline around them is found.
///
/// **A model** has one input of float32, red, green and blue from 0 to 1, of the shape 1x3xHxW or 1xHxWx3, and gives a
/// mask of float32 of the shape 1x1xHxW, 1xHxWx1, 1x2xHxW or 1xHxWx2. H and W are fixed and at most 1,024. With one
/// channel the value is how likely a pixel is the person, 0 to 1; with two, the second channel is the person's score,
/// and a pixel belongs to the person where it exceeds the first one.
#[derive(Clone, Debug)]
pub struct BackgroundBlur {
    options: Options,
    segmenter: Segmenter,
    thumbnailer: Thumbnailer,
    compositor: Compositor,
    streams: Streams<Stream>,
}

/// What a [`BackgroundBlur`] shows behind the person.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Backdrop {
    /// The background, blurred.
    #[default]
    Blur,
    /// One colour: red, green and blue.
    Color([u8; 3]),
    /// An image that fills the picture.
    Image(Arc<Image>),
}

#[derive(Clone, Debug)]
struct Options {
    strength: f32,
    padding: f32,
    backdrop: Backdrop,
    model: Option<String>,
}

#[derive(Clone, Debug)]
enum Segmenter {
    StaticCamera,
    #[cfg(feature = "onnx")]
    Onnx(onnx::Model),
}

/// What is known of one stream.
#[derive(Clone, Debug, Default)]
struct Stream {
    camera: StaticCamera,
    mask: Mask,
}

impl BackgroundBlur {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::heavy("BackgroundBlur", Self::from_params)
            .describe("Keeps the person in front of the camera sharp and blurs what is behind.")
            .param(
                ParamSpec::number("blur_strength", 0.0..=100.0)
                    .default_value(15)
                    .unit("pixels at 720p")
                    .doc("The standard deviation of the blur; 0 blurs nothing."),
            )
            .param(
                ParamSpec::number("mask_padding", 0.0..=100.0)
                    .default_value(10)
                    .unit("pixels at 720p")
                    .doc("How much wider than the person the sharp area is."),
            )
            .param(
                ParamSpec::choice("mode", ["blur", "color", "image"])
                    .default_value("blur")
                    .doc("What is behind the person: the blurred background, a colour or an image."),
            )
            .param(ParamSpec::text("color").doc("The colour for mode: color, as #rrggbb; #1f2a37 if missing."))
            .param(ParamSpec::text("image").doc("The path of a PNG file, for mode: image."))
            .param(ParamSpec::text("model").doc("The path of an ONNX segmentation model; built-in if missing."))
            .produces(Produces::SameAsInput)
            .keeps_format()
    }

    /// A blur of `strength` with `padding` around the person, both in pixels of a picture that is 720 pixels high.
    pub fn new(strength: f32, padding: f32) -> Self {
        let options = Options { strength, padding, backdrop: Backdrop::Blur, model: None };
        Self {
            options,
            segmenter: Segmenter::StaticCamera,
            thumbnailer: Thumbnailer::default(),
            compositor: Compositor::default(),
            streams: Streams::default(),
        }
    }

    /// The same node with something else behind the person.
    #[must_use]
    pub fn with_backdrop(mut self, backdrop: Backdrop) -> Self {
        self.options.backdrop = backdrop;
        self
    }

    fn from_params(params: &Params) -> Result<Self, ParamProblem> {
        let options = Options::from_params(params)?;
        let segmenter = Segmenter::new(options.model.as_deref())?;
        Ok(Self { options, segmenter, ..Self::new(0.0, 0.0) })
    }

    fn blur(&mut self, frame: &VideoFrame) -> Result<VideoFrame, VideoError> {
        if self.options.strength == 0.0 && self.options.backdrop == Backdrop::Blur {
            return Ok(frame.clone());
        }
        let stream = self.streams.of(frame);
        let found = match &self.segmenter {
            Segmenter::StaticCamera => {
                let scene = self.thumbnailer.fitted(frame, StaticCamera::SIDE)?;
                stream.camera.find(scene, frame.timestamp)
            }
            #[cfg(feature = "onnx")]
            Segmenter::Onnx(model) => {
                let (width, height) = model.size();
                model.find(self.thumbnailer.sized(frame, width, height)?)?
            }
        };
        let lines = frame.height() as f32 / 720.0;
        let per_cell = found.height as f32 / frame.height() as f32;
        stream.mask.update(&found, self.options.padding * lines * per_cell);
        self.compositor.compose(frame, &stream.mask, &self.options.backdrop, self.options.strength * lines)
    }
}

impl Options {
    fn from_params(params: &Params) -> Result<Self, ParamProblem> {
        let backdrop = match (params.text("mode"), params.text("image")) {
            (Some("image"), Some(path)) => Backdrop::Image(Arc::new(Image::from_param("image", path)?)),
            (Some("image"), None) => {
                let expected = "the path of a PNG file".to_owned();
                return Err(ParamProblem::Missing { param: "image", expected });
            }
            (Some("color"), _) => {
                let [r, g, b, _] = color(params, "color")?.unwrap_or([0x1f, 0x2a, 0x37, 255]);
                Backdrop::Color([r, g, b])
            }
            _ => Backdrop::Blur,
        };
        for (param, mode) in [("color", "color"), ("image", "image")] {
            if let Some(value) = params.text(param).filter(|_| params.text("mode") != Some(mode)) {
                let reason = format!("it has no effect without mode: {mode}");
                return Err(ParamProblem::Unusable { param, value: value.chars().take(200).collect(), reason });
            }
        }
        Ok(Self {
            strength: params.number("blur_strength").unwrap_or(15.0) as f32,
            padding: params.number("mask_padding").unwrap_or(10.0) as f32,
            backdrop,
            model: params.text("model").map(str::to_owned),
        })
    }
}

impl Segmenter {
    #[cfg(feature = "onnx")]
    fn new(model: Option<&str>) -> Result<Self, ParamProblem> {
        let Some(path) = model else { return Ok(Self::StaticCamera) };
        onnx::Model::read(path).map(Self::Onnx).map_err(|error| ParamProblem::Unusable {
            param: "model",
            value: path.chars().take(200).collect(),
            reason: error.to_string(),
        })
    }

    #[cfg(not(feature = "onnx"))]
    fn new(model: Option<&str>) -> Result<Self, ParamProblem> {
        let Some(path) = model else { return Ok(Self::StaticCamera) };
        Err(ParamProblem::Unusable {
            param: "model",
            value: path.chars().take(200).collect(),
            reason: "models need the cargo feature `onnx` of remotemedia-nodes; turn it on, or leave the param out"
                .to_owned(),
        })
    }
}

impl Node for BackgroundBlur {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match input {
            RuntimeData::Video { frame } => out.emit(self.blur(&frame)?),
            other => out.emit(other),
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok(options) = Options::from_params(params) else { return false };
        if options.model != self.options.model {
            let Ok(segmenter) = Segmenter::new(options.model.as_deref()) else { return false };
            self.segmenter = segmenter;
            self.streams.clear();
        }
        self.options = options;
        self.compositor.forget_image();
        true
    }
}
