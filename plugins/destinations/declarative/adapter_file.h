#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/result.h"
#include "base/http/request.h"
#include "plugins/contract/destination_adapter.h"
#include "plugins/destinations/declarative/text_template.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace credence {

enum class SettingType { kString, kUrlPath, kInteger, kBaseUrl, kCaFile };

/// What a setting or a request parameter may be.
struct SettingSpec {
  std::string name;
  SettingType type = SettingType::kString;
  bool required = false;
  std::optional<std::string> default_value;
  /// For a string: the whole value has to match; null for any.
  std::shared_ptr<const re2::RE2> pattern;
  /// Says in words what is expected; "" for the type's own words.
  std::string expected;
  /// For an integer.
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
};

/// Where in an answer something stands: a JSON pointer or a header's name; the other is "".
struct AnswerSource {
  std::string json;
  std::string header;
};

struct ExtractSpec {
  std::string name;
  AnswerSource source;
  ValueType type = ValueType::kText;
  bool optional = false;
};

/// A condition on an extracted value; not applied when an optional value is absent.
struct ExpectSpec {
  std::string name;
  std::string prefix;
  /// Compared without regard to case; "" for no such condition.
  std::string equals_ci;
  std::optional<std::int64_t> min;
  std::optional<std::int64_t> max;
};

/// One request and what is taken from its answer.
struct HttpStep {
  HttpMethod method = HttpMethod::kPost;
  /// Joined to the base URL. Holds no secret.
  TextTemplate path;
  std::vector<std::pair<std::string, TextTemplate>> headers;
  std::optional<JsonTemplate> json;
  /// Status codes of success.
  std::vector<int> success;
  std::vector<ExtractSpec> extract;
  std::vector<ExpectSpec> expect;
};

struct ClassifyRule {
  /// Inclusive ranges.
  std::vector<std::pair<int, int>> status;
  /// Also applies when there was no answer at all.
  bool network = false;
  /// Pointer and the string that has to be there; all of them.
  std::vector<std::pair<std::string, std::string>> json;
  ExchangeFailure failure = ExchangeFailure::kBadResponse;
};

struct ExpirySpec {
  /// Name of a seconds value.
  std::string from;
  std::chrono::seconds cap{86400};
  std::chrono::seconds margin{0};
};

struct CredentialSpec {
  /// Names of extracted values.
  std::vector<std::string> fields;
  std::string primary;
  /// Names of extracted values, or "".
  std::string accessor;
  std::string renewable;
};

struct FileSpec {
  std::string path;
  mode_t mode = 0600;
  /// One of the two.
  std::optional<JsonTemplate> json;
  TextTemplate text;
};

struct DeliverSpec {
  std::vector<std::pair<std::string, TextTemplate>> env;
  std::vector<std::string> unset;
  std::vector<FileSpec> files;
};

/// One line of what an operator enters at the vendor.
struct SetupLine {
  TextTemplate text;
  /// A command for a shell: values are quoted for it.
  bool shell = false;
};

/// A checked adapter file: every name that a template uses exists where it is used.
struct AdapterFile {
  std::string name;
  std::vector<SettingSpec> settings;
  std::vector<SettingSpec> params;
  std::vector<TextTemplate> audience;
  std::size_t max_svid_bytes = 16384;
  std::chrono::seconds max_svid_lifetime{3600};
  /// Empty for any.
  std::vector<std::string> svid_algorithms;
  bool svid_issuer_required = false;
  std::vector<HttpStep> steps;
  /// First one that gives something.
  std::vector<AnswerSource> request_id;
  std::vector<ClassifyRule> classify;
  ExpirySpec expiry;
  CredentialSpec credential;
  DeliverSpec deliver;
  std::optional<HttpStep> renew;
  std::optional<HttpStep> revoke;
  std::vector<SetupLine> setup;
};

/// Reads an adapter file (plugins/destinations/README.md describes it). `file` names it in
/// messages. Errors: kInvalidArgument with every mistake, one a line, "file:line:column: message".
Result<AdapterFile> ParseAdapterFile(std::string_view yaml, std::string_view file);

}  // namespace credence
