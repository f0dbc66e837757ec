//! A plot as SVG: light, without script, without a font of the machine that draws it (the reader's
//! browser brings its own).

use anyhow::anyhow;
use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::cartesian::Cartesian2d,
    drawing::{DrawingArea, IntoDrawingArea as _},
    element::{Circle, Rectangle, Text},
    prelude::SVGBackend,
    series::{DashedLineSeries, LineSeries},
    style::{Color as _, FontStyle, IntoFont as _, RGBColor, ShapeStyle, TextStyle, WHITE},
};

use super::scale::{Scale, fits};
use crate::figures::{Axis, Line, Plot};

/// Where it is shown at its natural size, pixels.
const SHOWN: (u32, u32) = (720, 400);

/// The library draws on whole pixels: with several for each one shown, curves look like curves. The
/// sizes below are in these.
const FINE: u32 = 2;

/// Told apart by readers with any color vision (after Okabe and Ito).
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(60, 60, 60),
];

const INK: RGBColor = RGBColor(34, 34, 34);
const FAINT: RGBColor = RGBColor(228, 228, 228);

/// A line of so few points is drawn with its points.
const FEW: usize = 30;

/// Heights of the title and of a row of names below it, where those begin, and about how wide a
/// letter of them is.
const HEAD: i32 = 72;
const ROW: i32 = 44;
const LEFT: i32 = 32;
const LETTER: i32 = 14;

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Scale, Scale>>;

/// Draws it.
///
/// # Errors
/// When the library can't, which an image in memory gives no reason for.
pub fn svg(plot: &Plot) -> anyhow::Result<String> {
    let mut text = String::new();
    let size = (SHOWN.0 * FINE, SHOWN.1 * FINE);
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        let marks = legend(plot);
        let rows = marks.last().map_or(0, |mark| mark.row + 1);
        let (top, rest) = area.split_vertically(HEAD + rows * ROW);
        title(&top, plot, &marks)?;
        match scales(plot) {
            Some(scales) => draw(&rest, plot, scales)?,
            None => rest.draw(&Text::new("no points", (40, 40), font(34)))?,
        }
        area.present()?;
    }
    let drawn = format!(r#"width="{}" height="{}""#, size.0, size.1);
    let shown = format!(r#"width="{}" height="{}""#, SHOWN.0, SHOWN.1);
    if !text.contains(&drawn) {
        return Err(anyhow!("the drawing library writes its size in another way"));
    }
    Ok(text.replacen(&drawn, &shown, 1))
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn axis_name(axis: &Axis) -> String {
    if axis.unit.is_empty() { axis.name.clone() } else { format!("{}, {}", axis.name, axis.unit) }
}

fn points<'a>(plot: &'a Plot, line: &'a Line) -> impl Iterator<Item = (f64, f64)> + 'a {
    let fit = |(x, y): &(f64, f64)| fits(*x, plot.x.logarithmic) && fits(*y, plot.y.logarithmic);
    line.points.iter().copied().filter(fit)
}

/// Both axes; nothing without points.
fn scales(plot: &Plot) -> Option<(Scale, Scale)> {
    let all = plot.lines.iter().flat_map(|line| points(plot, line));
    let (xs, ys): (Vec<f64>, Vec<f64>) = all.unzip();
    let x = Scale::over(&xs, plot.x.logarithmic)?;
    Some((x, Scale::over(&ys, plot.y.logarithmic)?.upwards()))
}

/// Where a line is named.
struct Mark<'a> {
    name: &'a str,
    x: i32,
    row: i32,
}

/// What the lines are, in as many rows as it takes; nothing for a single one.
fn legend(plot: &Plot) -> Vec<Mark<'_>> {
    let (mut x, mut row) = (LEFT, 0);
    let lines = plot.lines.iter().filter(|_| plot.lines.len() > 1);
    let mark = |line: &'_ Line| {
        let letters = i32::try_from(line.name.chars().count()).unwrap_or(i32::MAX);
        let width = letters.saturating_mul(LETTER).saturating_add(96);
        if x > LEFT && x.saturating_add(width) > i32::try_from(SHOWN.0 * FINE).unwrap_or(i32::MAX) {
            (x, row) = (LEFT, row + 1);
        }
        let place = (x, row);
        x = x.saturating_add(width);
        place
    };
    let places: Vec<(i32, i32)> = lines.clone().map(mark).collect();
    lines.zip(places).map(|(line, (x, row))| Mark { name: &line.name, x, row }).collect()
}

/// Color of the line with this number, and whether it is dashed because the color was used before.
fn look(number: usize) -> (RGBColor, bool) {
    (COLORS[number % COLORS.len()], number >= COLORS.len())
}

fn title(area: &Area<'_>, plot: &Plot, legend: &[Mark<'_>]) -> anyhow::Result<()> {
    let bold = ("sans-serif", 40).into_font().style(FontStyle::Bold).color(&INK);
    area.draw(&Text::new(plot.title.clone(), (30, 22), bold))?;
    for (number, Mark { name, x, row }) in legend.iter().enumerate() {
        let (color, is_dashed) = look(number);
        let y = HEAD + row * ROW;
        let ends: &[(i32, i32)] = if is_dashed { &[(0, 14), (22, 36)] } else { &[(0, 36)] };
        for (from, to) in ends {
            let ends = [(x + from, y + 8), (x + to, y + 14)];
            area.draw(&Rectangle::new(ends, color.filled()))?;
        }
        area.draw(&Text::new((*name).to_owned(), (x + 46, y - 4), font(34)))?;
    }
    Ok(())
}

fn draw(area: &Area<'_>, plot: &Plot, (x, y): (Scale, Scale)) -> anyhow::Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin_right(40)
        .margin_top(10)
        .margin_left(6)
        .margin_bottom(10)
        .x_label_area_size(90)
        .y_label_area_size(120)
        .build_cartesian_2d(x, y)?;
    mesh(&mut chart, plot)?;
    for (number, line) in plot.lines.iter().enumerate() {
        let points: Vec<(f64, f64)> = points(plot, line).collect();
        let (color, is_dashed) = look(number);
        let style = ShapeStyle::from(color).stroke_width(4);
        if points.len() <= FEW {
            let marks = points.iter().map(|&point| Circle::new(point, 7, color.filled()));
            chart.draw_series(marks)?;
        }
        if is_dashed {
            chart.draw_series(DashedLineSeries::new(points, 14, 8, style))?;
        } else {
            chart.draw_series(LineSeries::new(points, style))?;
        }
    }
    Ok(())
}

fn mesh(chart: &mut Chart<'_, '_>, plot: &Plot) -> anyhow::Result<()> {
    let label = |value: &f64| super::scale::label(*value);
    chart
        .configure_mesh()
        .x_labels(12)
        .y_labels(8)
        .max_light_lines(0)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .x_desc(axis_name(&plot.x))
        .y_desc(axis_name(&plot.y))
        .label_style(font(32))
        .axis_desc_style(font(34))
        .bold_line_style(ShapeStyle::from(&FAINT).stroke_width(2))
        .axis_style(ShapeStyle::from(&INK).stroke_width(2))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, logarithmic: bool) -> Axis {
        Axis { name: name.to_owned(), unit: "ms".to_owned(), logarithmic }
    }

    fn plot(logarithmic: bool, lines: Vec<Vec<(f64, f64)>>) -> Plot {
        let lines = (1..).zip(lines).map(|(i, points)| Line { name: format!("<{i}>"), points });
        Plot {
            title: "a & b".to_owned(),
            x: axis("x", logarithmic),
            y: axis("y", logarithmic),
            lines: lines.collect(),
        }
    }

    /// The numbers in all attributes of this name.
    fn numbers(svg: &str, name: &str) -> Vec<f64> {
        let before = format!(" {name}=\"");
        let values = svg.split(&before).skip(1);
        let values = values.filter_map(|rest| rest.split('"').next());
        values.flat_map(|value| value.split([' ', ','])).filter_map(|it| it.parse().ok()).collect()
    }

    fn stays_inside(svg: &str) {
        for (name, most) in [("x", 1440.0), ("cx", 1440.0), ("y", 800.0), ("cy", 800.0)] {
            let values = numbers(svg, name);
            assert!(values.iter().all(|value| (0.0..=most).contains(value)), "{name}: {values:?}");
        }
        let points = numbers(svg, "points");
        for point in points.chunks(2) {
            assert!((0.0..=1440.0).contains(&point[0]) && (0.0..=800.0).contains(&point[1]));
        }
    }

    #[test]
    fn plots_stay_inside_whatever_is_drawn() {
        let strange = vec![(1.0, 5.0), (2.0, f64::NAN), (0.0, -3.0), (f64::INFINITY, 1.0)];
        let usual: Vec<_> = (1..200).map(|i| (f64::from(i), f64::from(i * i))).collect();
        for is_logarithmic in [false, true] {
            let lines = vec![usual.clone(), strange.clone(), vec![(7.0, 7.0)], Vec::new()];
            let svg = svg(&plot(is_logarithmic, lines)).expect("a drawing");
            stays_inside(&svg);
            assert!(svg.contains("<polyline") && svg.contains("<circle"), "{svg}");
            assert!(svg.contains("a &amp; b") && svg.contains("&lt;1&gt;"), "text is escaped");
            assert!(!svg.contains("<script") && !svg.contains("href"));
        }
    }

    #[test]
    fn many_lines_are_named_in_rows_and_told_apart() {
        let lines = (0..12).map(|i| vec![(0.0, f64::from(i)), (1.0, 2.0)]).collect();
        let mut plot = plot(false, lines);
        for line in &mut plot.lines {
            line.name = format!("a name of {}", line.name);
        }
        let marks = legend(&plot);
        assert!(marks.last().expect("marks").row > 1);
        let right = |mark: &Mark<'_>| mark.x + 96 + LETTER * mark.name.len() as i32;
        assert!(marks.iter().all(|mark| right(mark) <= 1440));
        let looks: Vec<_> = (0..12).map(look).collect();
        assert!((1..12).all(|i| !looks[..i].contains(&looks[i])));
        stays_inside(&svg(&plot).expect("a drawing"));
        plot.lines.truncate(1);
        assert!(legend(&plot).is_empty());
    }

    #[test]
    fn a_plot_without_points_says_so() {
        let svg = svg(&plot(true, vec![vec![(0.0, 0.0)]])).expect("a drawing");
        assert!(svg.contains("no points"), "{svg}");
        stays_inside(&svg);
    }
}
