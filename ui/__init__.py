"""The pages of Thaw. Never imports torch itself."""
