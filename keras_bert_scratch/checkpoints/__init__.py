"""Reading and writing models as files, in our own format and in the formats of other libraries."""
