use std::sync::Arc;

use bytes::Bytes;

/// A dense array of numbers in row-major order, little endian. Cloning counts a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    data: Bytes,
    shape: Arc<[usize]>,
    element: TensorType,
}

/// What the elements of a [`Tensor`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TensorType {
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// 8-bit unsigned integer.
    U8,
}

impl TensorType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

impl Tensor {
    /// An array of `shape` out of its bytes.
    ///
    /// # Errors
    ///
    /// [`TensorError`] if `data` has not exactly the bytes that the shape needs.
    pub fn new(
        data: impl Into<Bytes>,
        shape: impl Into<Arc<[usize]>>,
        element: TensorType,
    ) -> Result<Self, TensorError> {
        let (data, shape) = (data.into(), shape.into());
        let expected = shape.iter().try_fold(element.size(), |bytes, side| bytes.checked_mul(*side));
        if expected == Some(data.len()) {
            Ok(Self { data, shape, element })
        } else {
            Err(TensorError { shape, element, actual: data.len() })
        }
    }

    /// The bytes of all elements.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The length of each side, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What the elements are.
    pub fn element(&self) -> TensorType {
        self.element
    }
}

/// The bytes do not fill the shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{actual} bytes do not fill a tensor of {shape:?} elements of {} bytes", element.size())]
pub struct TensorError {
    /// The shape that was asked for.
    pub shape: Arc<[usize]>,
    /// The elements that were asked for.
    pub element: TensorType,
    /// The bytes that were given.
    pub actual: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_filled_exactly() {
        assert!(Tensor::new(vec![0; 24], [2, 3], TensorType::F32).is_ok());
        assert_eq!(Tensor::new(vec![0; 23], [2, 3], TensorType::F32).unwrap_err().actual, 23);
        assert!(Tensor::new(vec![0; 8], [usize::MAX, 2], TensorType::F64).is_err());
    }
}
