#pragma once

#include "agent/exchange/broker.h"
#include "base/core/deadline.h"
#include "base/core/result.h"

#include "credence/credential/v1/credential.pb.h"
#include "spiffe/workload/workload.pb.h"

/// What a workload asks for, held to the rules before any costly work is done for it.
namespace credence {

/// At least one audience, none empty, and no more than a token can carry.
/// Errors: kInvalidArgument.
Result<void> CheckAudience(const spiffe::workload::JWTSVIDRequest& request);

/// Who asks (identities, subject) is left for attestation to fill in. Errors: kInvalidArgument.
Result<CredentialQuery> ToQuery(const credential::v1::GetCredentialRequest& request,
                                Deadline deadline);

}  // namespace credence
