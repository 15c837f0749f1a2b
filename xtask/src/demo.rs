use std::path::Path;

use anyhow::{Context, Result};

use crate::{
    setup::{self, Purpose},
    shell,
    workspace::Workspace,
};

/// What the page's menu offers. The first is what people get until they choose, unless they are told otherwise.
const PIPELINES: [&str; 8] = [
    "examples/pipelines/mirror.yaml",
    "examples/pipelines/upside-down.yaml",
    "examples/background_blur.yaml",
    "examples/conference.yaml",
    "examples/broadcast_tiers.yaml",
    "examples/data_channel_control.yaml",
    "examples/simple_pipeline.yaml",
    "examples/voice_agent.yaml",
];

/// Serves a page to look at, on http://localhost:8080 unless `arguments` say otherwise. With `headless`, plays a whole call
/// between two native peers and measures it.
pub(crate) fn run(workspace: &Workspace, headless: bool, arguments: &[String]) -> Result<()> {
    setup::run(Purpose::Build)?;
    let mut cargo = shell::cargo(&workspace.root);
    if headless {
        cargo.args(["run", "--locked", "--release", "--package=remotemedia-examples", "--example=headless_demo", "--"]);
        return shell::run(cargo.args(arguments));
    }
    cargo.args(["run", "--locked", "--release", "--package=remotemedia-cli", "--", "serve"]);
    let folder = std::env::current_dir().context("the current folder cannot be told")?;
    shell::run(cargo.args(serve_arguments(arguments, &folder)))
}

/// What `remotemedia serve` is told. What is asked for comes first, and is what people get; of the others none may have the
/// same name. Manifests are named from `folder`, where they were typed: the server runs in that of the workspace.
fn serve_arguments(arguments: &[String], folder: &Path) -> Vec<String> {
    let absolute = |file: &str| folder.join(file).display().to_string();
    let mut line = Vec::new();
    let mut is_manifest = false;
    for argument in arguments {
        line.push(match argument.strip_prefix("--manifest=") {
            Some(file) => format!("--manifest={}", absolute(file)),
            None if is_manifest => absolute(argument),
            None => argument.clone(),
        });
        is_manifest = argument == "--manifest";
    }
    let asked: Vec<&str> = arguments.iter().filter_map(|argument| name_of(argument)).collect();
    for pipeline in PIPELINES.iter().filter(|pipeline| name_of(pipeline).is_none_or(|name| !asked.contains(&name))) {
        line.extend(["--manifest".to_owned(), (*pipeline).to_owned()]);
    }
    line
}

/// The name of a pipeline, if that is its file or an option that names it.
fn name_of(argument: &str) -> Option<&str> {
    let file = Path::new(argument.trim_start_matches("--manifest="));
    let is_manifest =
        file.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
    file.file_stem().filter(|_| is_manifest)?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_known_by_its_file_however_it_is_given() {
        assert_eq!(name_of("--manifest=examples/conference.yaml"), Some("conference"));
        assert_eq!(name_of("my/mirror.json"), Some("mirror"));
        assert_eq!(name_of("--manifest"), None);
        assert_eq!(name_of("127.0.0.1:8080"), None);
    }

    #[test]
    fn what_is_asked_for_comes_first_from_where_it_was_typed_and_nothing_comes_twice() {
        let arguments = ["--manifest", "mine.yaml", "--listen", "127.0.0.1:0", "--manifest=../conference.yaml"];
        let line = serve_arguments(&arguments.map(str::to_owned), Path::new("/here/examples"));
        let asked = [
            "--manifest",
            "/here/examples/mine.yaml",
            "--listen",
            "127.0.0.1:0",
            "--manifest=/here/examples/../conference.yaml",
        ];
        assert_eq!(line[..5], asked);
        let menu = PIPELINES.iter().filter(|pipeline| name_of(pipeline) != Some("conference"));
        let menu: Vec<&str> = menu.flat_map(|pipeline| ["--manifest", pipeline]).collect();
        assert_eq!(line[5..], menu);
        assert_eq!(
            serve_arguments(&["--manifest=/a/b.yaml".to_owned()], Path::new("/here"))[0],
            "--manifest=/a/b.yaml"
        );
    }

    #[test]
    fn the_menu_names_files_that_are_there_and_each_once() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let names: Vec<_> = PIPELINES.iter().filter_map(|pipeline| name_of(pipeline)).collect();
        assert!(PIPELINES.iter().all(|pipeline| root.join(pipeline).is_file()));
        assert!((1..names.len()).all(|index| !names[..index].contains(&names[index])), "{names:?}");
        assert_eq!(names.len(), PIPELINES.len());
    }
}
