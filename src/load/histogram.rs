//! A histogram of three digits from a microsecond to ten minutes, in HDR's buckets: merges exactly,
//! and holds memory only where values are.

use crate::unit::{float, whole};

/// The largest value kept: ten minutes, in microseconds.
pub const LONGEST: u64 = 600_000_000;

/// Below this every value has a bucket of its own; above, each doubling has `HALF` buckets.
const EXACT: u64 = 2048;
const HALF: u64 = EXACT / 2;

/// Buckets of a page; a page is made when one of them is met.
const PAGE: usize = 64;

/// Counts by value.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    pages: Vec<Option<Box<[u64; PAGE]>>>,
    count: u64,
}

impl Histogram {
    /// Counts a value; what lies outside the range is kept at its end.
    pub fn record(&mut self, micros: u64) {
        *self.bucket(index_of(micros.clamp(1, LONGEST))) += 1;
        self.count += 1;
    }

    /// Adds to a bucket; false when there is no such bucket.
    pub fn add_to(&mut self, index: usize, count: u64) -> bool {
        if index > index_of(LONGEST) {
            return false;
        }
        let Some(total) = self.count.checked_add(count) else { return false };
        self.count = total;
        *self.bucket(index) += count;
        true
    }

    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        for (index, count) in other.buckets() {
            let own = self.bucket(index);
            *own = own.saturating_add(count);
        }
        self.count = self.count.saturating_add(other.count);
    }

    /// Forgets the counts. Pages that held some keep their memory, for they will again; the others go,
    /// so that a run of hours needs no more than its present needs.
    pub fn clear(&mut self) {
        for place in &mut self.pages {
            match place {
                Some(page) if page.iter().any(|count| *count > 0) => page.fill(0),
                Some(_) => *place = None,
                None => {}
            }
        }
        self.count = 0;
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many values were counted.
    #[cfg(test)]
    pub fn len(&self) -> u64 {
        self.count
    }

    /// True when none was.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the buckets that hold something, in ascending order.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = (usize, u64)> {
        let pages = self.pages.iter().enumerate().filter_map(|(n, page)| Some((n, page.as_ref()?)));
        pages.flat_map(|(n, page)| {
            let counts = page.iter().enumerate().filter(|(_, count)| **count > 0);
            counts.map(move |(at, count)| (n * PAGE + at, *count))
        })
    }

    /// Returns the smallest value.
    pub fn min(&self) -> u64 {
        self.buckets().next().map_or(0, |(index, _)| lowest(index))
    }

    /// Returns the largest value.
    pub fn max(&self) -> u64 {
        self.buckets().next_back().map_or(0, |(index, _)| highest(index))
    }

    /// Returns the mean, each value taken as the middle of its bucket.
    pub fn mean(&self) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let sum: f64 = self.buckets().map(|(index, count)| middle(index) * float(count)).sum();
        sum / float(self.count)
    }

    /// Returns the value that so many percent of all are not above.
    pub fn value_at_percentile(&self, percent: f64) -> u64 {
        let share = (percent / 100.0).clamp(0.0, 1.0);
        let wanted = whole((share * float(self.count)).ceil());
        let wanted = wanted.unwrap_or(0).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (index, count) in self.buckets() {
            seen += count;
            if seen >= wanted {
                return highest(index);
            }
        }
        0
    }

    fn bucket(&mut self, index: usize) -> &mut u64 {
        let at = index / PAGE;
        if self.pages.len() <= at {
            self.pages.resize_with(at + 1, || None);
        }
        let page = self.pages[at].get_or_insert_with(|| Box::new([0; PAGE]));
        &mut page[index % PAGE]
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.buckets().eq(other.buckets())
    }
}

/// How often the value's range has been doubled beyond the exact one.
fn doublings(micros: u64) -> u32 {
    (micros | (EXACT - 1)).ilog2() + 1 - EXACT.ilog2()
}

fn index_of(micros: u64) -> usize {
    let doublings = doublings(micros);
    let index = u64::from(doublings) * HALF + (micros >> doublings);
    usize::try_from(index).unwrap_or(0)
}

fn lowest(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(0);
    if index < EXACT {
        return index;
    }
    let doublings = index / HALF - 1;
    (index - doublings * HALF) << doublings
}

/// Returns the largest value of a bucket.
pub fn highest(index: usize) -> u64 {
    lowest(index + 1) - 1
}

/// Returns the value in a bucket's middle.
pub fn middle(index: usize) -> f64 {
    let (low, next) = (lowest(index), lowest(index + 1));
    float(low + (next - low) / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_one_has_no_values() {
        let histogram = Histogram::default();
        assert_eq!((histogram.min(), histogram.max(), histogram.len()), (0, 0, 0));
        assert_eq!(histogram.value_at_percentile(99.0), 0);
        assert!(histogram.mean() == 0.0 && histogram.is_empty());
    }

    #[test]
    fn values_outside_the_range_are_kept_at_its_ends() {
        let mut histogram = Histogram::default();
        histogram.record(0);
        histogram.record(u64::MAX);
        assert_eq!(histogram.min(), 1);
        assert!((LONGEST..LONGEST + LONGEST / 1000).contains(&histogram.max()));
        assert!(!histogram.add_to(index_of(LONGEST) + 1, 1));
        assert!(!histogram.add_to(1, u64::MAX), "no count overflows");
        histogram.clear();
        assert_eq!(histogram, Histogram::default());
    }

    #[test]
    fn memory_is_held_only_where_values_are() {
        let mut histogram = Histogram::default();
        for n in 0..1_000_000 {
            histogram.record(300 + n % 100);
        }
        assert!(histogram.pages.iter().flatten().count() <= 3);
    }

    #[test]
    fn pages_that_are_not_used_any_more_are_given_back() {
        let mut histogram = Histogram::default();
        let n_pages = |histogram: &Histogram| histogram.pages.iter().flatten().count();
        for n in 0..1000 {
            histogram.record(300);
            histogram.record(n * 10_000);
            histogram.clear();
            assert!(n_pages(&histogram) <= 2 && histogram.is_empty());
        }
        histogram.clear();
        assert_eq!(n_pages(&histogram), 0);
    }

    proptest! {
        #[test]
        fn it_says_what_the_original_says(
            values in prop::collection::vec(prop_oneof![1_u64..5000, 1..LONGEST], 1..200),
            cut in 0_usize..200,
        ) {
            let mut original = hdrhistogram::Histogram::<u64>::new(3).unwrap();
            let (mut one, mut two) = (Histogram::default(), Histogram::default());
            for (n, value) in values.iter().enumerate() {
                original.record(*value).unwrap();
                if n < cut { one.record(*value) } else { two.record(*value) }
            }
            one.add(&two);
            prop_assert_eq!(one.len(), original.len());
            prop_assert_eq!(one.min(), original.min());
            prop_assert_eq!(one.max(), original.max());
            prop_assert!((one.mean() - original.mean()).abs() <= original.mean() * 1e-9);
            for percent in [0.1, 10.0, 50.0, 90.0, 95.0, 99.0, 99.9, 100.0] {
                let at = original.value_at_percentile(percent);
                prop_assert_eq!(one.value_at_percentile(percent), at, "{}", percent);
            }
        }
    }
}
