//! The examples live in the files beside this folder.
