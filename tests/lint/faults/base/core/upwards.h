// Seeded fault: judged as base/core, this goes up. tests/lint/lint.py fails when the include check misses it.
#pragma once

#include "agent/config/agent_config.h"
