//! Finding the person with a segmentation model in the ONNX format.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use tract_onnx::{
    prelude::*,
    tract_hir::{infer::Factoid, internal::DimLike},
};

use super::{
    super::{VideoError, picture::rgb_of},
    mask::Found,
    thumbnail::Thumbnail,
};

/// A segmentation model: see [`BackgroundBlur`](super::BackgroundBlur) for the shapes that it has to have.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    plan: Arc<TypedRunnableModel>,
    width: usize,
    height: usize,
    input_is_planar: bool,
    output: Layout,
}

/// Where the values of the mask lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    channels: usize,
    width: usize,
    height: usize,
    is_planar: bool,
}

/// Why a file is no usable model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ModelError {
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    #[error("the file is no ONNX model that can be run: {0:#}")]
    Onnx(#[from] TractError),
    #[error("the model's input has the shape {0}; it has to be 1x3xHxW or 1xHxWx3, with fixed sides up to 1024")]
    Input(String),
    #[error("the model's output has the shape {0}; it has to be 1x1xHxW, 1xHxWx1, 1x2xHxW or 1xHxWx2 of float32")]
    Output(String),
}

impl Model {
    const MAX_SIDE: usize = 1_024;

    /// Reads a model and runs it once, so that one that does not fit is refused before the first picture.
    pub(crate) fn read(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let mut file = BufReader::new(File::open(path)?);
        let model = tract_onnx::onnx().model_for_read(&mut file)?;
        let inputs = model.input_outlets()?.len();
        let dims: Vec<Option<usize>> = match inputs {
            1 => {
                model.input_fact(0)?.shape.dims().map(|dim| dim.concretize().and_then(|d| d.to_usize().ok())).collect()
            }
            _ => return Err(ModelError::Input(format!("of {inputs} inputs"))),
        };
        let (width, height, input_is_planar) = match dims[..] {
            // A batch of any size is a batch of one.
            [None | Some(1), Some(3), Some(height), Some(width)] => (width, height, true),
            [None | Some(1), Some(height), Some(width), Some(3)] => (width, height, false),
            _ => return Err(ModelError::Input(shape_in_words(&dims))),
        };
        if !(1..=Self::MAX_SIDE).contains(&width) || !(1..=Self::MAX_SIDE).contains(&height) {
            return Err(ModelError::Input(shape_in_words(&dims)));
        }
        let shape = if input_is_planar { [1, 3, height, width] } else { [1, height, width, 3] };
        let plan = model.with_input_fact(0, f32::fact(shape).into())?.into_optimized()?.into_runnable()?;
        let outputs = plan.run(tvec!(Tensor::zero::<f32>(&shape)?.into()))?;
        let mask = outputs.first().ok_or_else(|| ModelError::Output("of no output".to_owned()))?;
        let wrong = || ModelError::Output(shape_in_words(&mask.shape().iter().copied().map(Some).collect::<Vec<_>>()));
        if mask.datum_type() != f32::datum_type() {
            return Err(wrong());
        }
        let output = Layout::of(mask.shape(), (height, width)).ok_or_else(wrong)?;
        Ok(Self { plan, width, height, input_is_planar, output })
    }

    /// The width and height of the pictures that the model takes.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    /// Where the person is in `picture`, which has the model's size.
    pub(crate) fn find(&self, picture: &Thumbnail) -> Result<Found, VideoError> {
        self.run(picture).map_err(|error| VideoError::Model(error.into()))
    }

    fn run(&self, picture: &Thumbnail) -> TractResult<Found> {
        let count = self.width * self.height;
        let mut values = vec![0f32; count * 3];
        for (at, yuv) in picture.yuv.iter().enumerate() {
            for (channel, value) in rgb_of(*yuv).into_iter().enumerate() {
                let place = if self.input_is_planar { channel * count + at } else { at * 3 + channel };
                values[place] = f32::from(value) / 255.0;
            }
        }
        let shape =
            if self.input_is_planar { [1, 3, self.height, self.width] } else { [1, self.height, self.width, 3] };
        let outputs = self.plan.run(tvec!(Tensor::from_shape(&shape, &values)?.into()))?;
        let Layout { channels, width, height, is_planar } = self.output;
        let count = width * height;
        let mask = outputs.first().map(|mask| mask.to_plain_array_view::<f32>()).transpose()?;
        let scores: Vec<f32> = mask.map(|mask| mask.iter().copied().collect()).unwrap_or_default();
        let score = |at: usize, channel: usize| {
            let place = if is_planar { channel * count + at } else { at * channels + channel };
            scores.get(place).copied().unwrap_or(0.0)
        };
        let is_person = |at| match channels {
            1 => score(at, 0) > 0.5,
            _ => score(at, 1) > score(at, 0),
        };
        Ok(Found { width, height, cells: (0..count).map(is_person).collect() })
    }
}

impl Layout {
    fn of(shape: &[usize], input: (usize, usize)) -> Option<Self> {
        let planar = match *shape {
            [1, channels @ (1 | 2), height, width] => Some(Self { channels, width, height, is_planar: true }),
            _ => None,
        };
        let interleaved = match *shape {
            [1, height, width, channels @ (1 | 2)] => Some(Self { channels, width, height, is_planar: false }),
            _ => None,
        };
        let is_size_of_input = |layout: &Self| (layout.height, layout.width) == input;
        let layout = interleaved.filter(is_size_of_input).or(planar).or(interleaved)?;
        (layout.width > 0 && layout.height > 0).then_some(layout)
    }
}

fn shape_in_words(dims: &[Option<usize>]) -> String {
    let dims: Vec<String> = dims.iter().map(|dim| dim.map_or_else(|| "?".to_owned(), |dim| dim.to_string())).collect();
    dims.join("x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_a_mask_follows_from_its_shape() {
        let layout = |shape: &[usize]| Layout::of(shape, (144, 256));
        let expected = Layout { channels: 1, width: 256, height: 144, is_planar: true };
        assert_eq!(layout(&[1, 1, 144, 256]), Some(expected));
        assert_eq!(layout(&[1, 144, 256, 2]), Some(Layout { channels: 2, is_planar: false, ..expected }));
        assert_eq!(layout(&[1, 2, 72, 128]), Some(Layout { channels: 2, width: 128, height: 72, is_planar: true }));
        assert_eq!(layout(&[1, 3, 144, 256]), None);
        assert_eq!(layout(&[144, 256]), None);
    }
}
