"""ResourceQuotas and LimitRanges: what a namespace may hold, and what its pods ask for where they don't say."""
