use remotemedia_runtime_core::{
    manifest::Suggestion,
    node::{ParamProblem, Params},
};

/// What a colour param takes, in words.
const ALLOWED: &str = "a colour as \"#rrggbb\" or \"#rrggbbaa\"";

/// The red, green, blue and alpha that a param names; `None` if it is not given.
pub(crate) fn color(params: &Params, param: &'static str) -> Result<Option<[u8; 4]>, ParamProblem> {
    let Some(text) = params.text(param) else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| ParamProblem::BadValue {
        param,
        value: text.chars().take(60).collect(),
        suggestion: Suggestion::default(),
        allowed: ALLOWED.to_owned(),
    })
}

fn parse(text: &str) -> Option<[u8; 4]> {
    let digits = text.strip_prefix('#').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let pair = |index: usize| digits.get(index..index + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    match digits.len() {
        6 => Some([pair(0)?, pair(2)?, pair(4)?, 255]),
        8 => Some([pair(0)?, pair(2)?, pair(4)?, pair(6)?]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_six_or_eight_digits() {
        assert_eq!(parse("#ff8000"), Some([255, 128, 0, 255]));
        assert_eq!(parse("#FF800040"), Some([255, 128, 0, 64]));
        for wrong in ["", "ff8000", "#ff80", "#ff80zz", "#ééé", "#ff80000"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
