//! CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), by table: only headers are checksummed
//! inside a recorded program, so size matters more than speed.

const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ 0x82F6_3B78
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

static TABLE: [u32; 256] = table();

/// CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut value = !0u32;
    for &byte in bytes {
        value = (value >> 8) ^ TABLE[usize::from((value as u8) ^ byte)];
    }
    !value
}

#[cfg(test)]
mod tests {
    #[test]
    fn matches_the_published_check_value() {
        // The check value of CRC-32C/iSCSI in RFC 3720's polynomial: "123456789".
        assert_eq!(super::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(super::crc32c(b""), 0);
    }
}
