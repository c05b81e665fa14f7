"""Full ranking with masked seen items, errors of ratings, what stands beside a mean, which recommender is better."""
