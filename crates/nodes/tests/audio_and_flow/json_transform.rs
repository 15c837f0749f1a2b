use crate::{
    common::{refusal, run},
    support::{Step, drive},
};
use remotemedia_runtime_core::data::RuntimeData;
use serde_json::{Value, json};

fn manifest(params: &str) -> String {
    format!("pipeline: {{ nodes: [{{ id: shape, type: JsonTransform, params: {{ {params} }} }}] }}")
}

async fn shape(params: &str, value: Value) -> Value {
    let mut outputs = run(&manifest(params), [RuntimeData::Json(value)]).await;
    match outputs.remove(0).data {
        RuntimeData::Json(value) => value,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn picked_fields_stay_where_they_were() {
    let value = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "list": [{ "x": 1, "y": 2 }, 5, 6] });
    assert_eq!(shape("pick: [a, missing]", value.clone()).await, json!({ "a": 1 }));
    assert_eq!(
        shape("pick: [/b/c, /b/e/f, /list/0/x, /list/2]", value).await,
        json!({ "b": { "c": 2 }, "list": [{ "x": 1 }, 6] })
    );
    assert_eq!(
        shape("pick: ['/a~1b', 'c/d']", json!({ "a/b": 1, "c/d": 2, "e": 3 })).await,
        json!({ "a/b": 1, "c/d": 2 })
    );
}

#[tokio::test]
async fn fields_are_removed_renamed_and_set_in_this_order() {
    let value = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "list": [1, 2, 3] });
    let params = "remove: [/b/d, /list/1, nothing], rename: { a: first, /b/c: deep, none: some }, set: { b: { more: true }, first: 5, list: null }";
    assert_eq!(shape(params, value).await, json!({ "first": 5, "b": { "deep": 2, "more": true } }));
}

#[tokio::test]
async fn text_becomes_json_and_json_text() {
    let outputs =
        run(&manifest("parse_text: true, set: { seen: true }"), [RuntimeData::from("{\"a\": 1}"), "not { json".into()])
            .await;
    assert_eq!(outputs[0].data, RuntimeData::Json(json!({ "a": 1, "seen": true })));
    assert_eq!(outputs[1].data, RuntimeData::from("not { json"));
    let outputs = run(&manifest("to_text: true"), [RuntimeData::Json(json!({ "a": [1, null] })), "{}".into()]).await;
    assert_eq!(outputs[0].data, RuntimeData::from("{\"a\":[1,null]}"));
    assert_eq!(outputs[1].data, RuntimeData::from("{}"), "text passes unless it shall be parsed");
}

#[tokio::test]
async fn text_that_is_nested_too_deeply_is_just_text() {
    let deep = "[".repeat(100_000);
    let outputs = run(&manifest("parse_text: true"), [RuntimeData::from(deep.as_str())]).await;
    assert_eq!(outputs[0].data, RuntimeData::from(deep.as_str()));
}

#[tokio::test]
async fn a_value_without_fields_is_an_error_that_says_what_to_do() {
    for (params, expected) in
        [("set: { a: 1 }", "\"set\""), ("rename: { a: b }", "\"rename\""), ("pick: [a]", "\"pick\"")]
    {
        let mut session = crate::support::session(&manifest(params));
        session.send_input(remotemedia_runtime_core::transport::TransportData::new(json!(7))).await.unwrap();
        let error = session.recv_output().await.unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_else(|| error.to_string());
        assert!(source.contains(expected) && source.contains("a number came"), "{source}");
    }
}

#[tokio::test]
async fn params_change_while_it_runs() {
    let steps = [
        Step::from(json!({ "a": 1, "b": 2 })),
        Step::Change("shape", json!({ "remove": ["a"] })),
        json!({ "a": 1, "b": 2 }).into(),
    ];
    let outputs = drive(&manifest("pick: [a]"), steps).await;
    assert_eq!(outputs[0].data, RuntimeData::Json(json!({ "a": 1 })));
    assert_eq!(outputs[1].data, RuntimeData::Json(json!({ "b": 2 })));
}

#[test]
fn params_of_the_wrong_form_are_refused() {
    for (params, expected) in [
        ("pick: a", "use a list of names and JSON pointers"),
        ("remove: [1]", "use a list of names and JSON pointers"),
        ("rename: { a: 1 }", "use an object from fields to names"),
        ("set: 3", "use an object"),
    ] {
        let refused = refusal(&manifest(params));
        assert!(refused.contains(expected), "{refused}");
    }
}
