#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/http/url.h"
#include "plugins/contract/destination_adapter.h"
#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/text_template.h"

namespace credence {

/// Settings or parameters after the check.
struct CheckedValues {
  NamedValues values;
  /// From the setting of type base_url, without a slash at the end.
  std::optional<HttpUrl> base_url;
  /// From the setting of type ca_file; "" if there is none.
  std::string ca_file;
};

/// What a value has to be, in words.
std::string_view ExpectedWords(const SettingSpec& spec);

/// Checks `given` against `specs` and fills in defaults. Values are printable ASCII of at most 1024
/// bytes. A base URL is one that ParseHttpUrl accepts, without a query. Errors: kInvalidArgument
/// with all mistakes, one a line, each starting with the name of the setting, as DestinationAdapter
/// wants it: "address: expected ...". `word` is what an unknown one is called: "setting" or
/// "parameter".
Result<CheckedValues> CheckValues(const std::vector<SettingSpec>& specs,
                                  const Settings& given,
                                  std::string_view word);

}  // namespace credence
