//! An axis: where a value stands, and which values are written beside it. Both kinds, even and
//! logarithmic, mark 1, 2 and 5 of a decade; what the drawing library offers for logarithmic
//! axes marks nothing in a range without a power of ten.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// Room above the highest value, as a part of the axis.
const ROOM: f64 = 0.06;

/// An axis of a plot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Scale {
    /// An axis that all of the values stand on, with nothing beside them; nothing without values.
    #[must_use]
    pub fn over(values: &[f64], is_logarithmic: bool) -> Option<Self> {
        let fits = |value: &&f64| fits(**value, is_logarithmic);
        let mut from = values.iter().filter(fits).copied().reduce(f64::min)?;
        let mut to = values.iter().filter(fits).copied().reduce(f64::max)?;
        if is_logarithmic {
            if to / from < 1.5 {
                (from, to) = (from / 1.5, to * 1.5);
            }
        } else if to - from <= f64::EPSILON * to.abs() {
            to = from + 1.0;
        }
        Some(Self { from, to, is_logarithmic })
    }

    /// For what goes upwards: from 0 where the axis is even and nothing is below, so that twice as
    /// much looks like twice as much; with some room above.
    #[must_use]
    pub fn upwards(mut self) -> Self {
        if self.is_logarithmic {
            self.to *= (self.to / self.from).powf(ROOM);
        } else {
            self.from = self.from.min(0.0);
            self.to += (self.to - self.from) * ROOM;
        }
        self
    }

    /// Where a value stands: 0 at the beginning, 1 at the end, never outside.
    #[must_use]
    pub fn place(&self, value: f64) -> f64 {
        let of = |value: f64| if self.is_logarithmic { value.ln() } else { value };
        let place = (of(value) - of(self.from)) / (of(self.to) - of(self.from));
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }

    /// At most about so many round values within the axis, by size.
    #[must_use]
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        if !self.is_logarithmic {
            return self.even_ticks(most);
        }
        let decades = [self.from, self.to].map(|end| whole(end.log10().floor()));
        let all = |steps: &[f64]| -> Vec<f64> {
            let decades = (decades[0]..=decades[1]).map(|decade| 10_f64.powi(decade));
            let ticks = decades.flat_map(|decade| steps.iter().map(move |step| step * decade));
            ticks.filter(|tick| (self.from..=self.to).contains(tick)).collect()
        };
        let fine = all(&[1.0, 2.0, 5.0]);
        let ticks = if fine.len() <= most { fine } else { all(&[1.0]) };
        match ticks.len() {
            0 | 1 => self.even_ticks(most),
            len => ticks.into_iter().step_by(len.div_ceil(most.max(1))).collect(),
        }
    }

    fn even_ticks(&self, most: usize) -> Vec<f64> {
        let least = (self.to - self.from) / f64::from(u32::try_from(most.max(1)).unwrap_or(1));
        let decade = 10_f64.powi(whole(least.log10().floor()));
        let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * decade >= least);
        let step = round.unwrap_or(10.0) * decade;
        let numbers = whole((self.from / step).ceil())..=whole((self.to / step).floor());
        numbers.map(|number| f64::from(number) * step).collect()
    }
}

/// Whether a value can stand on such an axis.
#[must_use]
pub fn fits(value: f64, is_logarithmic: bool) -> bool {
    value.is_finite() && (value > 0.0 || !is_logarithmic)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates; decades and tick numbers are small"
)]
fn whole(value: f64) -> i32 {
    value as i32
}

/// A round value in few letters: `0.05`, `250`, `20k`, `5M`.
#[must_use]
pub fn label(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        x if x >= 1e9 => (value / 1e9, "G"),
        x if x >= 1e6 => (value / 1e6, "M"),
        x if x >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Six digits behind the point hide what binary fractions add, zeros at the end say nothing.
    let text = format!("{scaled:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{unit}")
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let (from, to) = (f64::from(limit.0), f64::from(limit.1));
        whole((from + (to - from) * self.place(*value)).round())
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        self.ticks(hint.max_num_points())
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        label(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_axes_begin_at_zero_and_mark_round_values() {
        let scale = Scale::over(&[3.0, 97.0, f64::NAN], false).expect("values");
        assert_eq!((scale.from, scale.to), (3.0, 97.0));
        assert!((scale.place(50.0) - 0.5).abs() < 1e-9);
        let upwards = scale.upwards();
        assert_eq!(upwards.ticks(6), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert!(upwards.place(97.0) > 0.9 && upwards.place(97.0) < 1.0);
        let below = Scale::over(&[-4.0, 4.0], false).expect("values");
        assert_eq!(below.ticks(4), [-4.0, -2.0, 0.0, 2.0, 4.0]);
    }

    #[test]
    fn logarithmic_axes_leave_out_what_has_no_place() {
        let scale = Scale::over(&[0.0, -1.0, 0.5, 50.0], true).expect("values");
        assert_eq!(scale.ticks(10), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        assert!((scale.place(5.0) - 0.5).abs() < 1e-9);
        assert_eq!((scale.place(0.0), scale.place(1e9)), (0.0, 1.0));
        let wide = Scale::over(&[1.0, 1e6], true).expect("values");
        assert_eq!(wide.ticks(7).len(), 7);
        let narrow = Scale::over(&[3.0, 4.9], true).expect("values");
        assert!(narrow.ticks(5).len() > 1, "{:?}", narrow.ticks(5));
        assert_eq!(Scale::over(&[0.0], true), None);
    }

    #[test]
    fn labels_are_short() {
        let labels = [0.05, 0.3, 250.0, 9_000.0, 20_000.0, 2_500_000.0, 0.0].map(label);
        assert_eq!(labels, ["0.05", "0.3", "250", "9000", "20k", "2.5M", "0"]);
    }
}
