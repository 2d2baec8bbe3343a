//! How long a domain label becomes when it is written in ASCII (RFC 3492), without writing it.

/// Bytes of the label in ASCII, `xn--` included, or `None` beyond what any label may have.
///
/// `label` is UTF-16; an unpaired surrogate counts as a code point of its own. Dots of other scripts split the label, as IDNA says.
pub(super) fn ascii_label_size(label: &[u16]) -> Option<usize> {
    let points: Vec<u32> =
        char::decode_utf16(label.iter().copied()).map(|r| r.map_or_else(|e| u32::from(e.unpaired_surrogate()), u32::from)).collect();
    let mut size = 0;
    for (i, part) in points.split(|c| matches!(c, 0x2E | 0x3002 | 0xFF0E | 0xFF61)).enumerate() {
        size += usize::from(i > 0) + part_size(part)?;
    }
    Some(size)
}

/// Longest part worth encoding: a label of more code points cannot fit 63 bytes.
const MAX_POINTS: usize = 256;

fn part_size(points: &[u32]) -> Option<usize> {
    if points.iter().all(|&c| c < 0x7F) {
        return Some(points.len());
    }
    if points.len() > MAX_POINTS {
        return None;
    }
    let basic = points.iter().filter(|&&c| c < 0x80).count();
    let mut size = 4 + basic + usize::from(basic > 0);
    let (mut n, mut delta, mut bias, mut handled) = (0x80u32, 0u32, 72u32, basic as u32);
    while (handled as usize) < points.len() {
        let next = points.iter().copied().filter(|&c| c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for &c in points {
            if c < n {
                delta = delta.checked_add(1)?;
            } else if c == n {
                size += integer_digits(delta, bias);
                bias = adapt(delta, handled + 1, handled as usize == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta += 1;
        n += 1;
    }
    Some(size)
}

/// Digits of RFC 3492's variable-length integer.
fn integer_digits(delta: u32, bias: u32) -> usize {
    let (mut q, mut k, mut digits) = (delta, 36, 1);
    loop {
        let t = if k <= bias { 1 } else { (k - bias).min(26) };
        if q < t {
            return digits;
        }
        q = (q - t) / (36 - t);
        digits += 1;
        k += 36;
    }
}

fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > 35 * 26 / 2 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::ascii_label_size;

    #[test]
    fn sizes_are_those_of_the_written_labels() {
        for (label, ascii) in [
            ("example", "example"),
            ("münchen", "xn--mnchen-3ya"),
            ("bücher", "xn--bcher-kva"),
            ("日本語", "xn--wgv71a119e"),
            ("пример", "xn--e1afmkfd"),
            ("ü", "xn--tda"),
            ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
            ("3年B組金八先生", "xn--3B-ww4c5e180e575a65lsy2b"),
        ] {
            let units: Vec<u16> = label.encode_utf16().collect();
            assert_eq!(ascii_label_size(&units), Some(ascii.len()), "{label}");
        }
    }
}
