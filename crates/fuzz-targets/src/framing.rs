//! Inputs that people can read and write: lines `name: value`, an empty line, a body.

/// A line, cut at the first colon that a blank follows.
pub(crate) type Line<'a> = (&'a [u8], &'a [u8]);

/// The lines of an input, and its body. Without an empty line there are only lines.
pub(crate) fn parts(data: &[u8]) -> (Vec<Line<'_>>, &[u8]) {
    let (mut lines, mut rest) = (Vec::new(), data);
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if line.is_empty() {
            return (lines, rest);
        }
        lines.push(cut(line));
    }
    (lines, rest)
}

fn cut(line: &[u8]) -> Line<'_> {
    match line.windows(2).position(|pair| pair == b": ") {
        Some(colon) => (&line[..colon], &line[colon + 2..]),
        None => (line, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_lines_and_a_body() {
        let (lines, body) = parts(b"a: b: c\nd\n\nbody\n\nmore");
        assert_eq!((lines, body), (vec![(&b"a"[..], &b"b: c"[..]), (b"d", b"")], &b"body\n\nmore"[..]));
        assert_eq!(parts(b"a: b"), (vec![(&b"a"[..], &b"b"[..])], &b""[..]));
        assert_eq!(parts(b"\n\n"), (vec![], &b"\n"[..]));
        assert_eq!(parts(b""), (vec![], &b""[..]));
    }
}
