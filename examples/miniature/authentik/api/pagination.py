"""Pages of a list"""

from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response

_KEYS = ("next", "previous", "count", "current", "total_pages", "start_index", "end_index")


class Pagination(PageNumberPagination):
    """Page numbers instead of links; 0 where there is no such page"""

    page_size = 20
    max_page_size = 100
    page_size_query_param = "page_size"

    def get_paginated_response(self, data) -> Response:
        page = self.page
        numbers = (
            page.next_page_number() if page.has_next() else 0,
            page.previous_page_number() if page.has_previous() else 0,
            page.paginator.count,
            page.number,
            page.paginator.num_pages,
            page.start_index(),
            page.end_index(),
        )
        return Response({"pagination": dict(zip(_KEYS, numbers, strict=True)), "results": data})

    def get_paginated_response_schema(self, schema):
        return {
            "type": "object",
            "properties": {
                "pagination": {"$ref": "#/components/schemas/Pagination"},
                "results": schema,
            },
            "required": ["pagination", "results"],
        }


PAGINATION_SCHEMA = {
    "type": "object",
    "properties": {key: {"type": "integer"} for key in _KEYS},
    "required": list(_KEYS),
}
