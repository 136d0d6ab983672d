"""What the page says of a single run. A new section is a new file here and a template in `templates/sections/`."""

from sft.registry import import_submodules
from sft.reporting.html.run_sections.base import RunSection, Section, ShownRun, run_section, run_section_registry

import_submodules(__name__, __path__)

__all__ = ["RunSection", "Section", "ShownRun", "run_section", "run_section_registry"]
