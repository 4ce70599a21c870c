//! The operations of a ring that carry one cookie, oldest first.
//!
//! A program may give all of its operations the same cookie, which is correct: so what is done for each of them
//! must not grow with how many there are. The oldest are asked for and leave first, and are let go of without
//! moving those behind them.

use smallvec::SmallVec;

/// Numbers of operations, some of which may be over already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequences {
    all: SmallVec<[u64; 2]>,
    /// So many at the front are gone.
    gone: usize,
    /// As long as this they are looked through for such as are over.
    tidy_at: usize,
    /// So many at the end at most are new since somebody took all of those.
    new: usize,
}

/// Fewer are not worth tidying up.
const FEW: usize = 16;

impl Sequences {
    /// All that are left.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u64] {
        self.left()
    }

    #[inline]
    fn left(&self) -> &[u64] {
        self.all.get(self.gone..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, u64> {
        self.left().iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.left().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left().is_empty()
    }

    pub(crate) fn first(&self) -> Option<&u64> {
        self.left().first()
    }

    #[inline]
    pub(crate) fn push(&mut self, sequence: u64) {
        self.all.push(sequence);
        self.new += 1;
    }

    /// Those that nobody was given by this before: each is given once, and some that were may be among them.
    pub(crate) fn take_new(&mut self) -> impl Iterator<Item = &u64> {
        let new = std::mem::take(&mut self.new);
        self.left().iter().rev().take(new)
    }

    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(&u64) -> bool) {
        let gone = std::mem::take(&mut self.gone);
        let mut at = 0;
        self.all.retain(|sequence| {
            at += 1;
            at > gone && is_kept(sequence)
        });
    }

    /// Lets go of those that are over, where there are twice as many as when that was done last.
    #[inline]
    pub(crate) fn tidy(&mut self, is_in_flight: impl FnMut(&u64) -> bool) {
        if self.left().len() > self.tidy_at.max(FEW) {
            self.retain(is_in_flight);
            self.tidy_at = self.left().len().saturating_mul(2);
        }
    }

    /// Lets go of those at the front that are over.
    #[inline]
    pub(crate) fn drop_front(&mut self, is_in_flight: impl Fn(&u64) -> bool) {
        let over = self.iter().take_while(|sequence| !is_in_flight(sequence));
        self.gone += over.count();
        self.close_up();
    }

    /// Takes one out. It costs as much as there are in front of it or behind it, whichever are fewer.
    #[inline]
    pub(crate) fn remove(&mut self, sequence: u64) {
        let left = self.left();
        let both = left.iter().zip(left.iter().rev()).enumerate();
        let found = both
            .map(|(at, (front, back))| (at, *front == sequence, *back == sequence))
            .find(|(_, in_front, behind)| *in_front || *behind);
        match found {
            Some((at, true, _)) => {
                if let Some(front) = self.all.get_mut(self.gone..=self.gone + at) {
                    front.rotate_right(1);
                    self.gone += 1;
                }
            }
            Some((from_back, ..)) => {
                self.all.remove(self.all.len() - 1 - from_back);
            }
            None => return,
        }
        self.close_up();
    }

    /// Moves those that are left to the front, once they are fewer than those that are gone.
    #[inline]
    fn close_up(&mut self) {
        if self.gone > self.all.len() / 2 {
            self.all.drain(..self.gone);
            self.gone = 0;
        }
    }
}

impl<'a> IntoIterator for &'a Sequences {
    type Item = &'a u64;
    type IntoIter = std::slice::Iter<'a, u64>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sequences: &Sequences) -> Vec<u64> {
        sequences.iter().copied().collect()
    }

    #[test]
    fn whoever_leaves_the_others_keep_their_order() {
        let mut sequences = Sequences::default();
        (0..10).for_each(|sequence| sequences.push(sequence));
        sequences.remove(3);
        sequences.remove(0);
        sequences.remove(77);
        assert_eq!(of(&sequences), [1, 2, 4, 5, 6, 7, 8, 9]);
        sequences.drop_front(|sequence| *sequence > 4);
        assert_eq!(of(&sequences), [5, 6, 7, 8, 9]);
        sequences.retain(|sequence| *sequence != 6);
        sequences.push(10);
        assert_eq!(of(&sequences), [5, 7, 8, 9, 10]);
        sequences.remove(9);
        assert_eq!(of(&sequences), [5, 7, 8, 10]);
        sequences.remove(10);
        sequences.push(10);
        assert_eq!(of(&sequences), [5, 7, 8, 10]);
        assert_eq!(sequences.first(), Some(&5));
        sequences.drop_front(|_| false);
        assert!(sequences.is_empty());
    }

    #[test]
    fn those_that_are_new_are_given_once() {
        let mut sequences = Sequences::default();
        let taken = |sequences: &mut Sequences| sequences.take_new().copied().collect::<Vec<_>>();
        (0..4).for_each(|sequence| sequences.push(sequence));
        sequences.remove(0);
        assert_eq!(taken(&mut sequences), [3, 2, 1]);
        assert_eq!(taken(&mut sequences), [0; 0]);
        sequences.push(4);
        sequences.remove(1);
        sequences.push(1);
        assert_eq!(taken(&mut sequences), [1, 4]);
    }

    #[test]
    fn those_that_left_take_no_room() {
        let mut sequences = Sequences::default();
        for sequence in 0..100_000 {
            sequences.push(sequence);
            if sequence >= 8 {
                sequences.remove(sequence - 4);
            }
        }
        assert!(sequences.all.len() < 64, "{}", sequences.all.len());
        for sequence in 100_000..200_000 {
            sequences.push(sequence);
            sequences.tidy(|other| *other == sequence || *other == 0);
        }
        assert!(sequences.all.len() < 64, "{}", sequences.all.len());
        assert_eq!(sequences.first(), Some(&0));
    }
}
