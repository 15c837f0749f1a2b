use crate::{background_blur, support::*};
use remotemedia_media::*;
#[tokio::test]
async fn look() {
    let save = |name: &str, f: &VideoFrame| {
        let mut e =
            png::Encoder::new(std::fs::File::create(format!("/tmp/look-{name}.png")).unwrap(), f.width(), f.height());
        e.set_color(png::ColorType::Rgb);
        e.write_header().unwrap().write_image_data(&f.to_packed()).unwrap();
    };
    let p = background_blur::pictures();
    let m = "pipeline: { nodes: [{ id: b, type: BackgroundBlur, params: { blur_strength: 15 } }, {id: o, type: Overlay, params: { text: '{peer} {time} Größe Ωж', size: 32, background: '#00000080' }}], graph: [{from: input, to: b},{from: b, to: o},{from: o, to: output}] }";
    let out = play(m, &p).await;
    save("blur", &in_format((**out.last().unwrap()).clone(), PixelFormat::Rgb24).await.clone());
    save("orig", &in_format(p[60].clone(), PixelFormat::Rgb24).await);
    use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner};
    let manifest = Manifest::from_yaml(
        "pipeline: { nodes: [{ id: c, type: TestCard, params: { pattern: moving, width: 640, height: 360 } }] }",
    )
    .unwrap();
    let mut session = PipelineRunner::with_registry(remotemedia_nodes::registry()).create_session(&manifest).unwrap();
    for _ in 0..20 {
        session.next_output().await.unwrap();
    }
    let o = session.next_output().await.unwrap().unwrap();
    save("card", &in_format((**o.data.as_video().unwrap()).clone(), PixelFormat::Rgb24).await.clone());
}
