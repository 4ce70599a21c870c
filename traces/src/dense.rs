//! A table by numbers that somebody counts up: a lookup is an index, not a hash.

use rustc_hash::FxHashMap;

/// Numbers below this are indices at once.
const FEW: usize = 64;
/// A number is an index if there are so many indices for each number that was put: a file may claim any, and is
/// given no more memory than it has bytes. What is beyond is hashed.
const LOOSE: usize = 8;

/// Values by number; the default one where none was put.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dense<T> {
    low: Vec<T>,
    high: FxHashMap<u32, T>,
    /// Numbers that were put, about.
    put: usize,
}

impl<T: Copy + Default> Dense<T> {
    /// The value of a number.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> T {
        match self.low.get(number as usize) {
            Some(value) => *value,
            None => self.beyond(number),
        }
    }

    #[cold]
    fn beyond(&self, number: u32) -> T {
        self.high.get(&number).copied().unwrap_or_default()
    }

    /// Room for the value of a number.
    #[inline]
    pub(crate) fn slot(&mut self, number: u32) -> &mut T {
        if number as usize >= self.low.len() {
            self.grow(number);
        }
        match self.low.get_mut(number as usize) {
            Some(slot) => slot,
            None => self.high.entry(number).or_default(),
        }
    }

    #[cold]
    fn grow(&mut self, number: u32) {
        if self.high.contains_key(&number) {
            return;
        }
        self.put = self.put.saturating_add(1);
        let needed = (number as usize).saturating_add(1);
        if needed > self.put.saturating_mul(LOOSE).saturating_add(FEW) {
            return;
        }
        self.low.resize(needed, T::default());
        let low = &mut self.low;
        self.high
            .retain(|number, value| match low.get_mut(*number as usize) {
                Some(slot) => {
                    *slot = *value;
                    false
                }
                None => true,
            });
    }

    /// Puts a value to a number.
    pub(crate) fn insert(&mut self, number: u32, value: T) {
        *self.slot(number) = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_numbers_alike() {
        let mut table = Dense::default();
        let numbers = [0, 7, 63, 100, 64, 1 << 16, u32::MAX];
        for number in numbers.into_iter().chain(200..400) {
            assert_eq!(table.get(number), 0);
            table.insert(number, number.wrapping_mul(3) | 1);
        }
        for number in numbers.into_iter().chain(200..400) {
            assert_eq!(table.get(number), number.wrapping_mul(3) | 1, "{number}");
        }
        assert_eq!((table.get(8), table.get(1 << 17)), (0, 0));
        assert_eq!((table.low.len(), table.high.len()), (400, 2));
    }
}
