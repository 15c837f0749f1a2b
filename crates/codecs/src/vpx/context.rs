use std::{ffi::CStr, fmt, mem::MaybeUninit};

use vpx_sys::{vpx_codec_ctx_t, vpx_codec_destroy, vpx_codec_err_t, vpx_codec_err_to_string, vpx_codec_error_detail};

/// What libvpx answered instead of success.
#[derive(Debug)]
pub(super) struct VpxError {
    code: vpx_codec_err_t,
    detail: Option<String>,
}

impl VpxError {
    /// A failure before there is a context to ask for details.
    pub(super) fn new(code: vpx_codec_err_t) -> Self {
        Self { code, detail: None }
    }
}

impl fmt::Display for VpxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: answers a static, null-terminated string for every code.
        let name = unsafe { CStr::from_ptr(vpx_codec_err_to_string(self.code)) };
        write!(f, "libvpx: {}", name.to_string_lossy())?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for VpxError {}

/// An initialised libvpx codec, encoder or decoder.
pub(super) struct Context {
    /// Boxed, because libvpx keeps pointers into what it was initialised with.
    raw: Box<vpx_codec_ctx_t>,
}

// SAFETY: a libvpx context is not bound to the thread that created it; it only may not be used by two at once, which
// `&mut self` on everything that touches it ensures.
unsafe impl Send for Context {}

impl Context {
    /// Initialises a context by `init`.
    ///
    /// # Safety
    ///
    /// `init` must call one of libvpx's `vpx_codec_*_init_ver` on the pointer it is given, and answer its result.
    pub(super) unsafe fn new(init: impl FnOnce(*mut vpx_codec_ctx_t) -> vpx_codec_err_t) -> Result<Self, VpxError> {
        let mut raw = Box::new(MaybeUninit::<vpx_codec_ctx_t>::zeroed());
        let code = init(raw.as_mut_ptr());
        if code != vpx_codec_err_t::VPX_CODEC_OK {
            // A failed init has released what it took; its detail points into released memory.
            return Err(VpxError::new(code));
        }
        // SAFETY: the struct was zeroed, all of whose fields are legal as zero (`vpx_codec_err_t` has one), and then
        // filled by a successful init.
        let raw = unsafe { Box::from_raw(Box::into_raw(raw).cast::<vpx_codec_ctx_t>()) };
        Ok(Self { raw })
    }

    pub(super) fn as_ptr(&mut self) -> *mut vpx_codec_ctx_t {
        &raw mut *self.raw
    }

    /// Turns the result of a call on this context into an error with libvpx's own words.
    pub(super) fn check(&mut self, code: vpx_codec_err_t) -> Result<(), VpxError> {
        if code == vpx_codec_err_t::VPX_CODEC_OK {
            return Ok(());
        }
        // SAFETY: the context is initialised; the answer is null or a null-terminated string that lives at least until
        // the next call on the context.
        let detail = unsafe {
            let detail = vpx_codec_error_detail(self.as_ptr());
            (!detail.is_null()).then(|| CStr::from_ptr(detail).to_string_lossy().into_owned())
        };
        Err(VpxError { code, detail })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is initialised and is not used again.
        unsafe { vpx_codec_destroy(self.as_ptr()) };
    }
}
