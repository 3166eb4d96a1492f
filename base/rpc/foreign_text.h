#pragma once

#include <string>
#include <string_view>

namespace credence {

/// `text`, which somebody else wrote, as it may reach a terminal, a log and a protobuf string: with
/// '?' for every byte of a control character or of what is no UTF-8. As long as before.
/// Source: RFC 3629 section 4; ISO 6429, whose control characters are U+0000 to U+001F and U+007F
/// to U+009F.
std::string ForeignText(std::string_view text);

}  // namespace credence
