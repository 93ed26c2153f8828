//! What the members of a group were given, in the bytes that they tell each other: Kafka's
//! `ConsumerProtocolAssignment`, of which every version begins alike.
//!
//! `version i16 | topics i32 × (name (i16 length, bytes) | partitions i32 × i32) | …`

use std::sync::Arc;

use crate::Partition;

/// More topics or partitions than this are nonsense.
const COUNT_MAX: i32 = 100_000;

/// The partitions that an assignment names; none when the bytes are no assignment.
pub(crate) fn partitions_in(assignment: &[u8]) -> Vec<Partition> {
    read(assignment).unwrap_or_default()
}

fn read(mut bytes: &[u8]) -> Option<Vec<Partition>> {
    let bytes = &mut bytes;
    short(bytes)?;
    let mut partitions = Vec::new();
    for _ in 0..count(bytes)? {
        let length = usize::try_from(short(bytes)?).ok()?;
        let name = bytes.split_off(..length)?;
        let topic: Arc<str> = std::str::from_utf8(name).ok()?.into();
        for _ in 0..count(bytes)? {
            partitions.push(Partition { topic: topic.clone(), number: int(bytes)? });
        }
    }
    Some(partitions)
}

fn short(bytes: &mut &[u8]) -> Option<i16> {
    bytes.split_off(..2)?.try_into().ok().map(i16::from_be_bytes)
}

fn int(bytes: &mut &[u8]) -> Option<i32> {
    bytes.split_off(..4)?.try_into().ok().map(i32::from_be_bytes)
}

fn count(bytes: &mut &[u8]) -> Option<i32> {
    int(bytes).filter(|count| (0..=COUNT_MAX).contains(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(topics: &[(&str, &[i32])]) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
        for (name, partitions) in topics {
            bytes.extend(i16::try_from(name.len()).unwrap().to_be_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(i32::try_from(partitions.len()).unwrap().to_be_bytes());
            bytes.extend(partitions.iter().flat_map(|number| number.to_be_bytes()));
        }
        bytes.extend([0xff; 4]);
        bytes
    }

    #[test]
    fn an_assignment_names_its_partitions() {
        let bytes = assignment(&[("a", &[0, 2]), ("b", &[7])]);
        let names: Vec<String> = partitions_in(&bytes).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a[0]", "a[2]", "b[7]"]);
    }

    #[test]
    fn nonsense_is_no_assignment() {
        let bytes = assignment(&[("topic", &[0, 2])]);
        for length in 0..bytes.len() - 4 {
            assert!(partitions_in(&bytes[..length]).is_empty(), "cut off after {length}");
        }
        assert!(partitions_in(&[0, 1, 0x7f, 0xff, 0xff, 0xff]).is_empty());
    }
}
