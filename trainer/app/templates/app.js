{% include 'sorting.js' %}

{% include 'page.js' %}

{% include 'sending.js' %}

{% include 'trace.js' %}
