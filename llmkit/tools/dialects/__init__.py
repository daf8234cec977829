"""Tool calls as models write them: one family of models a file, one seam (:mod:`llmkit.tools.dialects.base`)."""
