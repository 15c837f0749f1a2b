//! Whether a picture is the test picture: four quarters of four colours.

use std::{fs::File, io::BufReader, path::Path};

use Colour::{Blue, Green, Other, Red, Yellow};

/// The colour of a quarter, with some room for what codecs do to colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Red,
    Green,
    Blue,
    Yellow,
    Other { red: u8, green: u8, blue: u8 },
}

/// Top left, top right, bottom left, bottom right.
pub(crate) type Quarters = [Colour; 4];

/// What pages and calls send.
pub(crate) const TEST_PICTURE: Quarters = [Red, Green, Blue, Yellow];

/// The same with left and right swapped.
pub(crate) const MIRRORED: Quarters = [Green, Red, Yellow, Blue];

/// How far a colour may be off; the four are farther than twice that from each other.
const TOLERANCE: f64 = 80.0;

impl Colour {
    pub(crate) fn of([red, green, blue]: [u8; 3]) -> Self {
        let distance = |other: [u8; 3]| {
            let squares = [red, green, blue].into_iter().zip(other).map(|(a, b)| (f64::from(a) - f64::from(b)).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let known = [(Red, [224, 32, 32]), (Green, [32, 192, 64]), (Blue, [32, 64, 224]), (Yellow, [224, 208, 32])];
        let near = known.into_iter().find(|(_, known)| distance(*known) < TOLERANCE);
        near.map_or(Other { red, green, blue }, |(colour, _)| colour)
    }
}

/// The picture in the middle of a recording, and how many there are.
pub(crate) fn recorded(path: &Path) -> (Quarters, usize) {
    let open = || y4m::decode(BufReader::new(File::open(path).unwrap())).unwrap();
    let mut count = 0;
    let mut decoder = open();
    while decoder.read_frame().is_ok() {
        count += 1;
    }
    assert!(count > 0, "{} has no picture", path.display());
    let mut decoder = open();
    let (width, height) = (decoder.get_width(), decoder.get_height());
    for _ in 0..count / 2 {
        decoder.read_frame().unwrap();
    }
    let frame = decoder.read_frame().unwrap();
    let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()];
    let quarter = |x: usize, y: usize| {
        let luma = planes[0][y * width + x];
        let [blue, red] = [1, 2].map(|plane| planes[plane][y / 2 * width.div_ceil(2) + x / 2]);
        Colour::of(rgb(luma, blue, red))
    };
    let (left, right, top, bottom) = (width / 4, width * 3 / 4, height / 4, height * 3 / 4);
    ([quarter(left, top), quarter(right, top), quarter(left, bottom), quarter(right, bottom)], count)
}

/// BT.601 in limited range.
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (1.164 * (f64::from(luma) - 16.0), f64::from(blue) - 128.0, f64::from(red) - 128.0);
    [luma + 1.596 * red, luma - 0.392 * blue - 0.813 * red, luma + 2.017 * blue]
        .map(|value| value.clamp(0.0, 255.0) as u8)
}

#[test]
fn the_four_colours_are_known_and_others_are_not() {
    assert_eq!([[224, 32, 32], [32, 192, 64], [32, 64, 224], [224, 208, 32]].map(Colour::of), TEST_PICTURE);
    assert_eq!(Colour::of([240, 20, 60]), Red);
    assert_eq!(Colour::of([0, 0, 0]), Other { red: 0, green: 0, blue: 0 });
    assert_eq!(
        [(81, 98, 218), (116, 88, 65), (76, 205, 110), (195, 43, 143)].map(|(y, b, r)| Colour::of(rgb(y, b, r))),
        TEST_PICTURE
    );
}
