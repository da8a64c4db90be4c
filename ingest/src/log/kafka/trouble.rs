//! Which of a consumer's errors pass by themselves.
//!
//! The list is of those that do, so that an error nobody thought of ends the reading: librdkafka goes
//! on behind records that it cannot check or unpack, and they would be missing in silence.

use rdkafka::error::RDKafkaErrorCode;

/// Errors that librdkafka recovers from by itself.
pub(super) fn passes(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    let connection = matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::DestroyBroker
            | Code::SSL
            | Code::NetworkException
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::ThrottlingQuotaExceeded
    );
    let leader = matches!(
        code,
        Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::OffsetNotAvailable
            | Code::KafkaStorageError
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::FetchSessionIdNotFound
            | Code::InvalidFetchSessionEpoch
    );
    let group = matches!(
        code,
        Code::WaitingForCoordinator
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::RebalanceInProgress
            | Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::MemberIdRequired
            | Code::PollExceeded
            | Code::AssignmentLost
    );
    connection || leader || group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_stand_for_missing_records_does_not_pass() {
        use RDKafkaErrorCode as Code;
        for code in [
            Code::BadMessage,
            Code::BadCompression,
            Code::NotImplemented,
            Code::InvalidMessage,
            Code::UnsupportedCompressionType,
            Code::AutoOffsetReset,
            Code::OffsetOutOfRange,
            Code::LogTruncation,
            Code::TopicAuthorizationFailed,
            Code::Fatal,
            Code::Unknown,
        ] {
            assert!(!passes(code), "{code:?}");
        }
        assert!(passes(Code::AllBrokersDown) && passes(Code::RebalanceInProgress));
    }
}
