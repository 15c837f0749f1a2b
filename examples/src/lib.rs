//! The examples live in the files beside this folder.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeExamples;
