"""The yardstick most would write first: Locations in three tables, nested ModelSerializers, LimitOffsetPagination."""
