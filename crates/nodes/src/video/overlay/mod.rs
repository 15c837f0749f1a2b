//! `Overlay`.

mod color;
mod layer;
mod text;

use std::{sync::Arc, time::Duration};

pub(crate) use color::color;
pub(crate) use layer::Layer;
use remotemedia_media::VideoFrame;
use remotemedia_runtime_core::{
    data::RuntimeData,
    manifest::Suggestion,
    node::{Emitter, Node, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces},
};
use remotemedia_scale::{Kernel, Scaler};
pub(crate) use text::Typesetter;

use super::{
    Image, VideoError,
    picture::{Canvas, pixels_of},
    streams::Streams,
};

/// `Overlay`: draws a text, the time or an image into pictures. Takes every pixel format and keeps it; other data
/// passes unchanged.
///
/// Params, one of the first three: `text`, up to 200 characters, in which `{peer}` stands for the peer that sent the
/// picture and `{time}` for its media time; `timestamp`, `true` for the media time alone, as hh:mm:ss.mmm; `image`, the
/// path of a PNG file, transparency included.
///
/// `position` is one of `top_left`, `top`, `top_right`, `left`, `center`, `right`, `bottom_left` (the default),
/// `bottom` and `bottom_right`, with a margin of 1/36 of the picture's height; or `x` and `y` in pixels from the upper
/// left. Places are rounded down to even pixels. `size`, 4 to 1,024 pixels, is the height of a line of text (1/20 of
/// the picture's height if missing) or of the image (its own). `color` (white) and `background` (none) of texts are
/// `#rrggbb` or `#rrggbbaa`; `opacity` of the whole is 0 to 1 (default 1).
///
/// Texts that are wider than the picture continue on the next line. Letters are those of DejaVu Sans: Latin, Greek,
/// Cyrillic and more, without the joining of letters that Arabic or Indic scripts need. New params apply from the next
/// picture on. Pictures that nobody else holds are drawn into in place.
#[derive(Clone, Debug)]
pub struct Overlay {
    content: Content,
    place: Place,
    size: Option<u32>,
    color: [u8; 4],
    background: Option<[u8; 4]>,
    opacity: u8,
    typesetter: Typesetter,
    scaler: Scaler,
    /// The image in its size; the same for all streams.
    image: Option<Layer>,
    drawn: Streams<Option<Drawn>>,
}

/// What an [`Overlay`] shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A text; `{peer}` and `{time}` are replaced in every picture.
    Text(Arc<str>),
    /// An image.
    Image(Arc<Image>),
}

/// Where an [`Overlay`] shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Corner {
    /// Upper left.
    TopLeft,
    /// The middle of the upper edge.
    Top,
    /// Upper right.
    TopRight,
    /// The middle of the left edge.
    Left,
    /// The middle.
    Center,
    /// The middle of the right edge.
    Right,
    /// Lower left.
    #[default]
    BottomLeft,
    /// The middle of the lower edge.
    Bottom,
    /// Lower right.
    BottomRight,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Corner(Corner),
    At(u32, u32),
}

/// The text that was drawn last into a stream, to be drawn again while nothing changes.
#[derive(Clone, Debug)]
struct Drawn {
    text: String,
    picture: (u32, u32),
    layer: Layer,
}

const CORNERS: [(&str, Corner); 9] = [
    ("top_left", Corner::TopLeft),
    ("top", Corner::Top),
    ("top_right", Corner::TopRight),
    ("left", Corner::Left),
    ("center", Corner::Center),
    ("right", Corner::Right),
    ("bottom_left", Corner::BottomLeft),
    ("bottom", Corner::Bottom),
    ("bottom_right", Corner::BottomRight),
];

impl Overlay {
    /// The longest text, in characters.
    pub const MAX_TEXT: usize = 200;

    /// The type, to register.
    pub fn node_type() -> NodeType {
        let side = i64::from(VideoFrame::MAX_SIDE);
        NodeType::new("Overlay", Self::from_params)
            .describe("Draws a text, the time or an image into pictures.")
            .param(ParamSpec::text("text").doc("A text of up to 200 characters; {peer} and {time} are replaced."))
            .param(ParamSpec::bool("timestamp").doc("Shows the media time as hh:mm:ss.mmm."))
            .param(ParamSpec::text("image").doc("The path of a PNG file."))
            .param(
                ParamSpec::choice("position", CORNERS.map(|(name, _)| name))
                    .doc("The corner, edge or middle; bottom_left if neither it nor x and y are given."),
            )
            .param(ParamSpec::integer("x", 0..=side).unit("pixels").doc("The left edge, instead of a position."))
            .param(ParamSpec::integer("y", 0..=side).unit("pixels").doc("The upper edge, instead of a position."))
            .param(
                ParamSpec::integer("size", 4..=1_024)
                    .unit("pixels")
                    .doc("The height of a line or of the image; 1/20 of the picture, or the image's own, if missing."),
            )
            .param(ParamSpec::text("color").default_value("#ffffff").doc("The colour of the text, as #rrggbb[aa]."))
            .param(ParamSpec::text("background").doc("The colour behind the text, as #rrggbb[aa]; none if missing."))
            .param(ParamSpec::number("opacity", 0.0..=1.0).default_value(1).doc("How much of the whole is seen."))
            .produces(Produces::SameAsInput)
            .keeps_format()
    }

    /// `content` in a corner: texts white, 1/20 of the picture's height, without a background; images in their own
    /// size.
    pub fn new(content: Content, corner: Corner) -> Self {
        Self {
            content,
            place: Place::Corner(corner),
            size: None,
            color: [255; 4],
            background: None,
            opacity: 255,
            typesetter: Typesetter::default(),
            scaler: Scaler::default(),
            image: None,
            drawn: Streams::default(),
        }
    }

    fn from_params(params: &Params) -> Result<Self, ParamProblem> {
        let timestamp = params.bool("timestamp").unwrap_or(false);
        let content = match (params.text("text"), timestamp, params.text("image")) {
            (Some(_), true, _) => return Err(ParamProblem::Exclusive { first: "text", second: "timestamp" }),
            (Some(_), _, Some(_)) => return Err(ParamProblem::Exclusive { first: "text", second: "image" }),
            (_, true, Some(_)) => return Err(ParamProblem::Exclusive { first: "timestamp", second: "image" }),
            (Some(text), ..) if text.chars().count() > Self::MAX_TEXT => {
                return Err(ParamProblem::BadValue {
                    param: "text",
                    value: format!("a text of {} characters", text.chars().count()),
                    suggestion: Suggestion::default(),
                    allowed: format!("at most {} characters", Self::MAX_TEXT),
                });
            }
            (Some(text), ..) => Content::Text(text.into()),
            (_, true, _) => Content::Text("{time}".into()),
            (.., Some(path)) => Content::Image(Arc::new(Image::from_param("image", path)?)),
            _ => {
                let expected = "a text, timestamp: true, or an image".to_owned();
                return Err(ParamProblem::Missing { param: "text", expected });
            }
        };
        let pixels = |param| params.integer(param).and_then(|value| u32::try_from(value).ok());
        let place = match (params.text("position"), pixels("x"), pixels("y")) {
            (Some(_), Some(_), _) => return Err(ParamProblem::Exclusive { first: "position", second: "x" }),
            (Some(_), _, Some(_)) => return Err(ParamProblem::Exclusive { first: "position", second: "y" }),
            (position, None, None) => {
                let corner = CORNERS.into_iter().find(|(name, _)| Some(*name) == position);
                Place::Corner(corner.map_or(Corner::default(), |(_, corner)| corner))
            }
            (None, x, y) => Place::At(x.unwrap_or(0), y.unwrap_or(0)),
        };
        Ok(Self {
            place,
            size: pixels("size"),
            color: color(params, "color")?.unwrap_or([255; 4]),
            background: color(params, "background")?,
            opacity: (params.number("opacity").unwrap_or(1.0) * 255.0).round() as u8,
            ..Self::new(content, Corner::default())
        })
    }

    fn draw(&mut self, frame: Arc<VideoFrame>) -> Result<VideoFrame, VideoError> {
        match self.content.clone() {
            Content::Text(text) => self.draw_text(&text, frame),
            Content::Image(image) => self.draw_image(&image, frame),
        }
    }

    fn draw_text(&mut self, text: &str, frame: Arc<VideoFrame>) -> Result<VideoFrame, VideoError> {
        let picture = (frame.width(), frame.height());
        let text = filled_in(text, &frame);
        let slot = self.drawn.of(&frame);
        let mut drawn = match slot.take() {
            Some(drawn) if drawn.text == text && drawn.picture == picture => drawn,
            _ => {
                let size = self.size.unwrap_or((picture.1 / 20).max(4));
                let room = (picture.0 as usize).saturating_sub(2 * margin(picture)).max(1);
                let coverage = self.typesetter.set(&text, size, room, picture.1 as usize)?;
                let layer = Layer::of_text(&coverage, self.color, self.background, (size / 4) as usize);
                Drawn { text, picture, layer }
            }
        };
        let (x, y) = self.place.of(drawn.layer.size(), picture);
        let mut canvas = Canvas::new(frame);
        drawn.layer.draw(&mut canvas, x, y, self.opacity)?;
        *slot = Some(drawn);
        canvas.into_frame()
    }

    fn draw_image(&mut self, image: &Image, frame: Arc<VideoFrame>) -> Result<VideoFrame, VideoError> {
        let layer = match &mut self.image {
            Some(layer) => layer,
            none => none.insert(image_layer(image, self.size, &mut self.scaler)?),
        };
        let (x, y) = self.place.of(layer.size(), (frame.width(), frame.height()));
        let mut canvas = Canvas::new(frame);
        layer.draw(&mut canvas, x, y, self.opacity)?;
        canvas.into_frame()
    }
}

impl Node for Overlay {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match input {
            RuntimeData::Video { frame } => out.emit(self.draw(frame)?),
            other => out.emit(other),
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok(new) = Self::from_params(params) else { return false };
        let typesetter = std::mem::take(&mut self.typesetter);
        *self = Self { typesetter, ..new };
        true
    }
}

impl Place {
    fn of(self, layer: (usize, usize), picture: (u32, u32)) -> (usize, usize) {
        let corner = match self {
            Self::At(x, y) => return (x as usize, y as usize),
            Self::Corner(corner) => corner,
        };
        let margin = margin(picture);
        let room = |side: u32, layer: usize| (side as usize).saturating_sub(layer);
        let (across, down) = (room(picture.0, layer.0), room(picture.1, layer.1));
        let x = match corner {
            Corner::TopLeft | Corner::Left | Corner::BottomLeft => margin.min(across),
            Corner::Top | Corner::Center | Corner::Bottom => across / 2,
            _ => across.saturating_sub(margin),
        };
        let y = match corner {
            Corner::TopLeft | Corner::Top | Corner::TopRight => margin.min(down),
            Corner::Left | Corner::Center | Corner::Right => down / 2,
            _ => down.saturating_sub(margin),
        };
        (x, y)
    }
}

fn margin((_, height): (u32, u32)) -> usize {
    (height / 36) as usize
}

fn image_layer(image: &Image, size: Option<u32>, scaler: &mut Scaler) -> Result<Layer, VideoError> {
    let frame = image.frame();
    let height = size.unwrap_or(frame.height());
    let width = (f64::from(frame.width()) * f64::from(height) / f64::from(frame.height())).round();
    let width = (width as u32).clamp(1, VideoFrame::MAX_SIDE);
    let Some(pixels) = pixels_of(frame, 0) else { return Err(VideoError::Format { format: frame.format() }) };
    let mut rgba = vec![0; width as usize * height as usize * 4];
    scaler.scale_whole(pixels, &mut rgba, (width, height), Kernel::Bilinear)?;
    let rgba = rgba.chunks_exact(4).map(|pixel| [pixel[0], pixel[1], pixel[2], pixel[3]]);
    Ok(Layer::new(width as usize, height as usize, rgba))
}

fn filled_in(text: &str, frame: &VideoFrame) -> String {
    let mut text = text.to_owned();
    if text.contains("{time}") {
        text = text.replace("{time}", &frame.timestamp.map_or_else(|| "--:--:--.---".to_owned(), clock));
    }
    if text.contains("{peer}") {
        text = text.replace("{peer}", frame.source.as_deref().unwrap_or_default());
    }
    text
}

/// hh:mm:ss.mmm
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60, time.subsec_millis())
}
