//! Two charts as SVG, written out by hand: they need nothing to be drawn with, and a page can show them.

use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
/// Room for the words at the sides.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 64.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 44.0;

/// The colours of the three lines, told apart also in grey.
const RATE: &str = "#1b6ca8";
const P50: &str = "#2e8b57";
const P99: &str = "#b5482e";

/// Latency and throughput against the number of callers: both scales begin at nought.
pub(crate) fn latency(rows: &[Value]) -> Option<String> {
    let points: Vec<[f64; 4]> = rows
        .iter()
        .filter(|row| row["id"] == "L")
        .filter_map(|row| {
            let of = |name: &str| row[name].as_f64();
            Some([
                of("callers")?,
                of("ours")?,
                of("p50_us")? / 1e3,
                of("p99_us")? / 1e3,
            ])
        })
        .collect();
    let [first, .., last] = points.as_slice() else {
        return None;
    };
    let (begin, end) = (first[0].log2(), last[0].log2());
    let across =
        |callers: f64| LEFT + (callers.log2() - begin) / (end - begin) * (WIDTH - LEFT - RIGHT);
    let highest = |at: usize| points.iter().map(|point| point[at]).fold(0.0, f64::max);
    let (rate_most, ms_most) = (round_up(highest(1)), round_up(highest(3)));
    let mut svg = begun("Calls a second, and latency of one call, by the number of callers");
    for step in 0..=4_u32 {
        let part = f64::from(step) / 4.0;
        let y = up(part);
        line(&mut svg, (LEFT, y), (WIDTH - RIGHT, y), "#ddd");
        text(
            &mut svg,
            (LEFT - 6.0, y + 4.0),
            "end",
            RATE,
            &format!("{:.0}/s", rate_most * part),
        );
        text(
            &mut svg,
            (WIDTH - RIGHT + 6.0, y + 4.0),
            "start",
            P99,
            &format!("{:.1} ms", ms_most * part),
        );
    }
    for point in &points {
        text(
            &mut svg,
            (across(point[0]), HEIGHT - BOTTOM + 18.0),
            "middle",
            "#333",
            &format!("{:.0}", point[0]),
        );
    }
    for (at, most, colour, name) in [
        (1, rate_most, RATE, "calls a second"),
        (2, ms_most, P50, "p50"),
        (3, ms_most, P99, "p99"),
    ] {
        let places: Vec<String> = points
            .iter()
            .map(|point| format!("{:.1},{:.1}", across(point[0]), up(point[at] / most)))
            .collect();
        written(
            &mut svg,
            format_args!(
                r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#,
                places.join(" ")
            ),
        );
        let x = LEFT + 8.0 + 130.0 * f64::from(u8::try_from(at - 1).unwrap_or_default());
        text(&mut svg, (x, HEIGHT - 6.0), "start", colour, name);
    }
    Some(ended(svg))
}

/// What one start takes with more and more of the jail on.
pub(crate) fn layers(rows: &[Value]) -> Option<String> {
    let bars: Vec<(&str, f64)> = rows
        .iter()
        .filter(|row| row["id"] == "J")
        .filter_map(|row| Some((row["measure"].as_str()?, row["ours"].as_f64()?)))
        .collect();
    if bars.is_empty() {
        return None;
    }
    let most = round_up(bars.iter().map(|bar| bar.1).fold(0.0, f64::max));
    let high = (HEIGHT - TOP - 12.0) / bars.len() as f64;
    // The names stand inside, beside the bars that are shorter than they.
    let mut svg = begun("One start, one line in, one line out, reaped: p50 in µs, layer by layer");
    for (at, (name, micros)) in bars.iter().enumerate() {
        let y = TOP + high * at as f64;
        let wide = micros / most * (WIDTH - 2.0 * 12.0);
        let tall = high - 4.0;
        written(
            &mut svg,
            format_args!(
                r##"<rect x="12" y="{y:.1}" width="{wide:.1}" height="{tall:.1}" fill="#c9dcec"/>"##
            ),
        );
        text(
            &mut svg,
            (18.0, y + high / 2.0 + 3.0),
            "start",
            "#222",
            &format!("{micros:.0} µs  {name}"),
        );
    }
    Some(ended(svg))
}

fn begun(title: &str) -> String {
    let mut svg = String::new();
    written(
        &mut svg,
        format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
        ),
    );
    written(
        &mut svg,
        format_args!(r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>"##),
    );
    text(&mut svg, (12.0, 18.0), "start", "#222", title);
    svg
}

fn ended(mut svg: String) -> String {
    svg.push_str("</svg>\n");
    svg
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    written(
        svg,
        format_args!(
            r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}"/>"#,
            from.0, from.1, to.0, to.1
        ),
    );
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, colour: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    written(
        svg,
        format_args!(
            r#"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}" fill="{colour}">{words}</text>"#,
            at.0, at.1
        ),
    );
}

fn written(svg: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(svg, "{what}").unwrap_or_default();
}

/// How far down a part of the whole height is.
fn up(part: f64) -> f64 {
    HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
}

/// The next figure that is 1, 2, 4 or 8 times a power of ten.
fn round_up(figure: f64) -> f64 {
    let ten = 10_f64.powf(figure.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 4.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * ten >= figure);
    step.unwrap_or(10.0) * ten
}
