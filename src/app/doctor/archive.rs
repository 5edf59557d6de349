//! Writes a compressed tar archive of texts (POSIX ustar in gzip).

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The size of a block of a tar archive, in bytes.
const BLOCK: usize = 512;

/// A text in an archive, by its name.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) text: String,
}

/// Writes an archive whose members were made at a time, in seconds since 1970.
pub(super) fn write(sink: impl Write, members: &[Member], made_at: u64) -> io::Result<()> {
    let mut sink = GzEncoder::new(sink, Compression::default());
    for Member { name, text } in members {
        sink.write_all(&header(name, text.len(), made_at)?)?;
        sink.write_all(text.as_bytes())?;
        sink.write_all(&vec![0; text.len().next_multiple_of(BLOCK) - text.len()])?;
    }
    sink.write_all(&[0; 2 * BLOCK])?;
    sink.finish()?.flush()
}

/// Returns the header of a file that only its owner can read. Source: POSIX.1-2017, pax, ustar interchange format.
fn header(name: &str, size: usize, made_at: u64) -> io::Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let checksum = b"        ";
    let fields: [(usize, &[u8]); 8] = [
        (0, name.as_bytes()),
        (100, b"0000600\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, &octal(u64::try_from(size).map_err(io::Error::other)?)),
        (136, &octal(made_at)),
        (148, checksum),
        (156, b"0"),
    ];
    for (at, value) in fields.into_iter().chain([(257, b"ustar\x0000".as_slice())]) {
        block.get_mut(at..at + value.len()).ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(value);
    }
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// Returns a number as eleven octal digits.
fn octal(number: u64) -> Vec<u8> {
    format!("{:011o}\0", number & 0o77_777_777_777).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn tar_reads_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar.gz");
        let members = [
            Member { name: "a.txt", text: "x".repeat(BLOCK) },
            Member { name: "b.txt", text: "äöü\n".into() },
            Member { name: "c.txt", text: String::new() },
        ];
        write(std::fs::File::create(&file).unwrap(), &members, 1_800_000_000).unwrap();
        let listed = Command::new("tar").arg("-xzvf").arg(&file).arg("-C").arg(folder.path()).output().unwrap();
        assert!(listed.status.success(), "{listed:?}");
        assert_eq!(String::from_utf8(listed.stdout).unwrap(), "a.txt\nb.txt\nc.txt\n");
        for Member { name, text } in &members {
            assert_eq!(&std::fs::read_to_string(folder.path().join(name)).unwrap(), text);
        }
    }
}
