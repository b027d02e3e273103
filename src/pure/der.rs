//! Values in DER, the one way in which certificates and keys are written.
//!
//! Lengths have one spelling in it, so that two texts that differ are two values: X.690, section 10.1.

/// The kind of a number.
pub const INTEGER: u8 = 0x02;
/// The kind of a list of values.
pub const SEQUENCE: u8 = 0x30;

/// The content of a value of this kind, and what follows it.
pub fn part(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any(der).filter(|(is, ..)| *is == tag).map(|(_, content, rest)| (content, rest))
}

/// The content of a value of this kind that nothing follows.
pub fn whole(der: &[u8], tag: u8) -> Option<&[u8]> {
    part(der, tag).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}

/// A value as its kind and its content, and what follows it.
pub fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, der) = der.split_first()?;
    let (length, mut der) = der.split_first()?;
    let mut length = usize::from(*length);
    if length >= 0x80 {
        let (digits, rest) = der.split_at_checked(length - 0x80).filter(|(digits, _)| digits.len() <= 4)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        der = rest;
        let is_short = length < 0x80 || digits.first() == Some(&0);
        if is_short {
            return None;
        }
    }
    let (content, rest) = der.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_one_spelling() {
        let long = [&[0x02, 0x81, 0x80][..], &[7; 0x80]].concat();
        for (der, expected) in [
            (&[0x02, 0x01, 0x07][..], Some((&[7][..], &[][..]))),
            (&[0x02, 0x00, 0x07], Some((&[], &[7]))),
            (&long, Some((&[7; 0x80], &[]))),
            (&[0x30, 0x01, 0x07], None),
            (&[0x02, 0x81, 0x01, 0x07], None),
            (&[0x02, 0x82, 0x00, 0x80], None),
            (&[0x02, 0x80, 0x07, 0x00, 0x00], None),
            (&[0x02, 0x85, 0, 0, 0, 0, 1, 7], None),
            (&[0x02, 0x02, 0x07], None),
            (&[0x02], None),
            (&[], None),
        ] {
            assert_eq!(part(der, INTEGER), expected, "{der:?}");
        }
        assert_eq!((whole(&[2, 1, 7], INTEGER), whole(&[2, 1, 7, 0], INTEGER)), (Some(&[7][..]), None));
    }
}
