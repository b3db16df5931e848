//! Bits of a parameter set: fixed lengths and Exp-Golomb codes (ITU-T H.264 §9.1, H.265 §9.2).

/// Removes the emulation prevention bytes of a NAL unit (ITU-T H.264 §7.4.1, H.265 §7.4.2).
pub(super) fn unescape(nal_unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal_unit.len());
    let mut zeros = 0;
    for &byte in nal_unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Reads from the most significant bit on; `None` past the end.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u64;
        for _ in 0..count.min(32) {
            let byte = *self.data.get(self.position / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        u32::try_from(value).ok()
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        Some(self.bits(1)? == 1)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.position = self.position.checked_add(count)?;
        (self.position <= self.data.len() * 8).then_some(())
    }

    pub(super) fn remaining(&self) -> usize {
        (self.data.len() * 8).saturating_sub(self.position)
    }

    /// `ue(v)`
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let suffix = self.bits(zeros)?;
        Some(((1_u64 << zeros) - 1) as u32 + suffix)
    }

    /// `se(v)`, where only the length matters.
    pub(super) fn skip_se(&mut self) -> Option<()> {
        self.ue().map(|_| ())
    }

    /// `se(v)`
    pub(super) fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { magnitude } else { -magnitude }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_are_those_of_the_specification() {
        // ITU-T H.264 table 9-2: 1, 010, 011, 00100, 00101
        let data = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut bits = BitReader::new(&data);
        let read: Vec<_> = (0..5).filter_map(|_| bits.ue()).collect();
        assert_eq!(read, [0, 1, 2, 3, 4]);
        let mut bits = BitReader::new(&data);
        let read: Vec<_> = (0..5).filter_map(|_| bits.se()).collect();
        assert_eq!(read, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn only_emulation_prevention_goes() {
        assert_eq!(unescape(&[0, 0, 3, 1, 0, 3, 0, 0, 3]), [0, 0, 1, 0, 3, 0, 0]);
    }
}
