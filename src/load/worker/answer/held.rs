//! What the bodies of all users' answers take together: each is bounded, but a thousand users times
//! that bound would fill the machine.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::load::worker::answer::READ;

/// Bodies up to here are not counted: what is small and usual costs nothing.
const SMALL: usize = 64 * 1024;

/// All larger ones together are held up to here.
pub const ALL: usize = 128 * 1024 * 1024;

/// Returns how long what one of so many users gets may be, where its length is not known beforehand:
/// its even part of the whole, but nothing small is refused.
pub fn part(n_users: u32) -> usize {
    let n_users = usize::try_from(n_users).unwrap_or(usize::MAX).max(1);
    (ALL / n_users).clamp(SMALL, READ)
}

static N_HELD: AtomicUsize = AtomicUsize::new(0);

/// One body's part; given back when it is dropped.
#[derive(Debug, Default)]
pub struct Held(usize);

impl Held {
    /// Takes room for a body of this length; false when all others leave none.
    pub fn grow(&mut self, length: usize) -> bool {
        if length <= SMALL || length <= self.0 {
            return true;
        }
        // In steps: the counter is every thread's.
        let wanted = length.next_multiple_of(SMALL);
        let more = wanted - self.0;
        if N_HELD.fetch_add(more, Ordering::Relaxed) + more > ALL {
            N_HELD.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.0 = wanted;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0 > 0 {
            N_HELD.fetch_sub(self.0, Ordering::Relaxed);
        }
    }
}

/// A copy holds nothing itself: answers are copied in tests only.
impl Clone for Held {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Held {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Held {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_many_users_has_its_part() {
        for (n_users, expected) in
            [(0, READ), (1, READ), (16, READ), (17, ALL / 17), (256, 512 * 1024), (1 << 20, SMALL)]
        {
            assert_eq!(part(n_users), expected, "{n_users}");
        }
    }

    #[test]
    fn small_bodies_are_free_and_large_ones_share_what_there_is() {
        let mut small = Held::default();
        assert!(small.grow(SMALL) && small.0 == 0);
        let mut one = Held::default();
        assert!(one.grow(SMALL + 1) && one.0 == 2 * SMALL);
        assert!(one.grow(2 * SMALL) && one.0 == 2 * SMALL);
        let mut all = Held::default();
        assert!(!all.grow(ALL) && all.0 == 0);
        drop(one);
        let before = N_HELD.load(Ordering::Relaxed);
        {
            let mut half = Held::default();
            assert!(half.grow(ALL / 2));
        }
        assert!(N_HELD.load(Ordering::Relaxed) < before + ALL / 2, "it was given back");
    }
}
