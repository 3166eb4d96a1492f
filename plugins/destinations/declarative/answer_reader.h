#pragma once

#include <optional>
#include <string>

#include "base/http/client.h"
#include "plugins/contract/destination_adapter.h"
#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/error_text.h"
#include "plugins/destinations/declarative/text_template.h"

namespace credence {

/// What one step's answer gave: values, or why the exchange failed.
struct StepAnswer {
  NamedValues values;
  /// Safe to show; "" if there was none.
  std::string request_id;
  std::optional<ExchangeError> error;
};

/// Turns an answer into values or exactly one error class, without I/O. Nothing in `secrets` comes
/// back in a message, in the request id, or in a value that is not secret itself.
StepAnswer ReadAnswer(const AdapterFile& file,
                      const HttpStep& step,
                      const HttpResponse& response,
                      const Secrets& secrets,
                      WallTime now);

/// The same when there is no answer.
StepAnswer ReadFailure(const AdapterFile& file, const Error& error, RequestFate fate);

/// The class of an answer that is no success: the first rule that fits, else RATE_LIMITED for 429,
/// UNAVAILABLE for 5xx, BAD_RESPONSE. A verdict on the SVID counts only in the vendor's JSON
/// (`json` not null): a page of HTML from something in between is BAD_RESPONSE.
ExchangeFailure ClassifyAnswer(const AdapterFile& file, int status, const JsonAnswer* json);

}  // namespace credence
