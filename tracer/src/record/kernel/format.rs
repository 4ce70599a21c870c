//! Where the fields of a tracepoint lie: what its `format` file in tracefs says. Fields moved and were renamed from
//! one kernel to the next, so that no offset is known without it.

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    offset: usize,
    size: usize,
    signed: bool,
}

impl Field {
    /// Its value in a record, as wide as a register; 0 where the record is shorter than its format says.
    pub(super) fn of(self, record: &[u8]) -> u64 {
        let Some(bytes) = record.get(self.offset..self.offset + self.size) else {
            return 0;
        };
        let mut wide = [0; 8];
        wide[..self.size].copy_from_slice(bytes);
        let value = u64::from_ne_bytes(wide);
        let unused = 64 - 8 * self.size as u32;
        if self.signed {
            ((value << unused).cast_signed() >> unused).cast_unsigned()
        } else {
            value
        }
    }
}

/// What one `format` file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// The number by which the kernel knows the tracepoint, until it is started anew.
    pub(super) id: u64,
    fields: Vec<(String, Field)>,
}

impl Format {
    /// Reads a `format` file; nothing where it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let id = text.lines().find_map(|line| line.strip_prefix("ID:"))?;
        Some(Self {
            id: id.trim().parse().ok()?,
            fields: text.lines().filter_map(field).collect(),
        })
    }

    /// A number in the record. Where the kernel's name for it changed, the older one comes after the newer one.
    pub(super) fn field(&self, names: &[&str]) -> Option<Field> {
        names.iter().find_map(|name| {
            let found = self.fields.iter().find(|(known, _)| known == name);
            found.map(|(_, field)| *field)
        })
    }
}

/// ` field:unsigned char common_flags; offset:2; size:1; signed:0;`
fn field(line: &str) -> Option<(String, Field)> {
    let mut parts = line.trim().strip_prefix("field:")?.split(';');
    let declared = parts.next()?;
    let mut field = Field {
        offset: 0,
        size: 0,
        signed: false,
    };
    for part in parts {
        let Some((key, value)) = part.trim().split_once(':') else {
            continue;
        };
        match key {
            "offset" => field.offset = value.parse().ok()?,
            "size" => field.size = value.parse().ok()?,
            "signed" => field.signed = value == "1",
            _ => {}
        }
    }
    let name = declared.rsplit(|it: char| it.is_ascii_whitespace() || it == '*');
    let name = name.into_iter().find(|word| !word.is_empty())?;
    // Arrays and structures are no numbers.
    let is_number = matches!(field.size, 1 | 2 | 4 | 8) && !declared.contains('[');
    (is_number && field.offset < 1 << 16).then(|| (name.to_owned(), field))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name: io_uring_complete
ID: 2141
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:void * ctx;\toffset:8;\tsize:8;\tsigned:0;
\tfield:int res;\toffset:16;\tsize:4;\tsigned:1;
\tfield:unsigned cflags;\toffset:20;\tsize:4;\tsigned:0;
\tfield:__data_loc char[] op_str;\toffset:24;\tsize:4;\tsigned:0;
\tfield:char comm[16];\toffset:28;\tsize:16;\tsigned:0;

print fmt: \"ring %p\", REC->ctx
";

    #[test]
    fn fields_are_found_by_name_wherever_they_lie() {
        let format = Format::parse(TEXT).unwrap();
        assert_eq!(format.id, 2141);
        let mut record = vec![0; 44];
        record[8..16].copy_from_slice(&0xFFFF_8880_1234_0000u64.to_ne_bytes());
        record[16..20].copy_from_slice(&(-125i32).to_ne_bytes());
        record[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
        let of = |names: &[&str]| format.field(names).unwrap().of(&record);
        assert_eq!(of(&["ctx"]), 0xFFFF_8880_1234_0000);
        assert_eq!(of(&["res"]).cast_signed(), -125);
        assert_eq!(of(&["of_a_newer_kernel", "cflags"]), u64::from(u32::MAX));
        for no_number in ["op_str", "comm", "comm[16]", "nothing"] {
            assert_eq!(format.field(&[no_number]), None);
        }
        assert_eq!(format.field(&["res"]).unwrap().of(&record[..18]), 0);
    }

    #[test]
    fn what_is_no_format_is_none() {
        assert_eq!(Format::parse(""), None);
        assert_eq!(Format::parse("ID: x\n"), None);
        let odd = Format::parse(
            "ID: 1\n\tfield:int;\toffset:x;\n\tfield:int a;\toffset:70000;\tsize:4;\tsigned:1;\n",
        );
        assert_eq!(odd.unwrap().fields, []);
    }
}
