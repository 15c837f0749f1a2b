//! Finding the person in the pictures of a camera that stands still.

use std::time::Duration;

use super::{mask::Found, thumbnail::Thumbnail};

/// How the scene looks without a person, learnt cell by cell.
///
/// Each cell has a running Gaussian of the background (Wren et al., "Pfinder", 1997), and beside it a candidate: the
/// value that is seen now, and for how long it has been the same. A candidate that lasts becomes the background. How
/// long it has to last depends on where people sit, so that who sits still in the middle is not learnt within seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct StaticCamera {
    width: usize,
    height: usize,
    cells: Vec<Cell>,
    last: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    background: Option<Gaussian>,
    candidate: [f32; 3],
    /// For how many seconds the candidate has been seen.
    age: f32,
    /// How likely a person is here, 0 to 1, before anything was seen.
    prior: f32,
}

#[derive(Clone, Copy, Debug)]
struct Gaussian {
    mean: [f32; 3],
    variance: f32,
}

impl StaticCamera {
    /// Cells along the longer side.
    pub(crate) const SIDE: u32 = 160;
    /// Seconds between two pictures that do not say when they were taken.
    const USUAL_INTERVAL: f32 = 1.0 / 30.0;
    /// A squared distance within which a candidate is the same: about 8 steps of luma.
    const SAME: f32 = 64.0;
    /// The least variance: noise of a camera, after the mean over a cell.
    const NOISE: f32 = 6.0;
    /// Standard deviations, squared, within which a value is background.
    const BACKGROUND: f32 = 10.0;
    /// How fast the background follows the light.
    const ADAPT: f32 = 0.04;

    /// Where the person is in `scene`, which was taken at `timestamp`.
    pub(crate) fn find(&mut self, scene: &Thumbnail, timestamp: Option<Duration>) -> Found {
        if (self.width, self.height) != (scene.width, scene.height) {
            self.start(scene);
        }
        let seconds = match (timestamp, self.last) {
            // A stream that was interrupted has not been watched meanwhile.
            (Some(now), Some(last)) => now.saturating_sub(last).as_secs_f32().min(0.2),
            _ => Self::USUAL_INTERVAL,
        };
        self.last = timestamp;
        let (mut known, mut different) = (0, 0);
        let mut cells = Vec::with_capacity(scene.yuv.len());
        for (cell, yuv) in self.cells.iter_mut().zip(&scene.yuv) {
            known += usize::from(cell.background.is_some());
            let is_person = cell.see(yuv.map(f32::from), seconds);
            different += usize::from(cell.background.is_some() && is_person);
            cells.push(is_person);
        }
        if known * 2 > self.cells.len() && different * 5 > known * 3 {
            // The camera was moved, or the light went on.
            self.start(scene);
            cells = self.cells.iter().map(|cell| cell.prior > 0.5).collect();
        }
        Found { width: scene.width, height: scene.height, cells }.cleaned()
    }

    fn start(&mut self, scene: &Thumbnail) {
        (self.width, self.height) = (scene.width, scene.height);
        self.cells.clear();
        for (at, yuv) in scene.yuv.iter().enumerate() {
            let (x, y) = (at % scene.width, at / scene.width);
            let prior = prior(x, y, scene.width, scene.height);
            self.cells.push(Cell { background: None, candidate: yuv.map(f32::from), age: 0.0, prior });
        }
    }
}

impl Cell {
    /// Takes what is seen for `seconds`, and answers whether it is the person.
    fn see(&mut self, yuv: [f32; 3], seconds: f32) -> bool {
        if distance(yuv, self.candidate) < StaticCamera::SAME {
            self.age += seconds;
            self.candidate = towards(self.candidate, yuv, 0.1);
        } else {
            (self.candidate, self.age) = (yuv, 0.0);
        }
        // 0 where people seldom are, 1 where they sit.
        let held = (2.0 * self.prior - 1.0).max(0.0).powi(2);
        let Some(background) = &mut self.background else {
            if self.age < 0.5 + 20.0 * held {
                return self.prior > 0.5;
            }
            self.background = Some(Gaussian { mean: self.candidate, variance: StaticCamera::NOISE });
            return false;
        };
        let squared = distance(yuv, background.mean);
        if squared < StaticCamera::BACKGROUND * background.variance {
            background.mean = towards(background.mean, yuv, StaticCamera::ADAPT);
            let spread = background.variance + (squared - background.variance) * StaticCamera::ADAPT;
            background.variance = spread.clamp(StaticCamera::NOISE, 20.0 * StaticCamera::NOISE);
            return false;
        }
        if self.age >= 5.0 + 55.0 * held {
            *background = Gaussian { mean: self.candidate, variance: StaticCamera::NOISE };
        }
        true
    }
}

/// Chroma counts twice: it changes less than luma when a shadow falls.
fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let [y, u, v] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    y * y + 2.0 * (u * u + v * v)
}

fn towards(from: [f32; 3], to: [f32; 3], share: f32) -> [f32; 3] {
    [0, 1, 2].map(|index| from[index] + (to[index] - from[index]) * share)
}

/// A head above the middle and shoulders down to the lower edge. Sizes are in picture heights, so that a wide picture
/// has no wider person.
fn prior(x: usize, y: usize, width: usize, height: usize) -> f32 {
    let down = (y as f32 + 0.5) / height as f32;
    let across = (x as f32 + 0.5 - width as f32 / 2.0) / height as f32;
    let ellipse = |middle: f32, wide: f32, high: f32| (across / wide).hypot((down - middle) / high);
    let nearest = ellipse(0.38, 0.17, 0.24).min(ellipse(1.05, 0.38, 0.5));
    (1.5 - nearest).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 160;
    const HEIGHT: usize = 90;

    fn scene(color: impl Fn(usize, usize) -> [u8; 3]) -> Thumbnail {
        let yuv = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))).map(|(x, y)| color(x, y)).collect();
        Thumbnail { width: WIDTH, height: HEIGHT, yuv }
    }

    fn watch(camera: &mut StaticCamera, scene: &Thumbnail, from: f32, seconds: f32) -> Found {
        let times = (0..=(seconds * 25.0) as u32).map(|n| Duration::from_secs_f32(from + n as f32 / 25.0));
        times.map(|time| camera.find(scene, Some(time))).last().unwrap()
    }

    fn is_person(found: &Found, x: usize, y: usize) -> bool {
        found.cells[y * WIDTH + x]
    }

    #[test]
    fn before_anything_is_known_the_middle_is_the_person() {
        let found = StaticCamera::default().find(&scene(|_, _| [90, 128, 128]), None);
        assert!(is_person(&found, 80, 35) && is_person(&found, 80, 85));
        assert!(!is_person(&found, 10, 35) && !is_person(&found, 150, 85) && !is_person(&found, 80, 2));
    }

    #[test]
    fn who_walks_in_is_found_and_who_stops_is_learnt_later() {
        let mut camera = StaticCamera::default();
        let wall = |x: usize, y: usize| [(60 + x / 4 + y / 3) as u8, 128, 128];
        watch(&mut camera, &scene(wall), 0.0, 2.0);
        let in_front = scene(|x, y| if (8..30).contains(&x) && y > 30 { [150, 110, 150] } else { wall(x, y) });
        let found = watch(&mut camera, &in_front, 2.0, 1.0);
        assert!(is_person(&found, 18, 60) && !is_person(&found, 140, 30));
        let found = watch(&mut camera, &in_front, 3.0, 6.0);
        assert!(!is_person(&found, 18, 60));
    }

    #[test]
    fn light_that_changes_slowly_is_no_person() {
        let mut camera = StaticCamera::default();
        for number in 0..500 {
            let light = (60 + number / 10) as u8;
            let found = camera.find(&scene(|_, _| [light, 128, 128]), Some(Duration::from_millis(number * 40)));
            assert!(!is_person(&found, 5, 40), "picture {number}");
        }
    }

    #[test]
    fn a_camera_that_moves_starts_again() {
        let mut camera = StaticCamera::default();
        watch(&mut camera, &scene(|_, _| [60, 128, 128]), 0.0, 30.0);
        let found = watch(&mut camera, &scene(|_, _| [160, 100, 128]), 30.0, 0.0);
        assert!(is_person(&found, 80, 35) && !is_person(&found, 10, 35));
    }
}
